package server_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const compatibilityPage = "../docs/COMPATIBILITY.md"

// lastCheck is the number of the last compatibility check.
const lastCheck = 69

var (
	checkRow = regexp.MustCompile(`(?m)^\| *(\d+) *\|[^|]+\|([^|]*)\|([^|]*)\|([^|]*)\|$`)
	testName = regexp.MustCompile("`(Test\\w+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

func TestCompatibilityPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	seen := map[int]bool{}
	for _, row := range checkRow.FindAllStringSubmatch(page, -1) {
		number, _ := strconv.Atoi(row[1])
		if number < 1 || number > lastCheck || seen[number] {
			t.Errorf("check %d is there twice, or there is no such check", number)
		}
		seen[number] = true
		verdict, note, proof := strings.TrimSpace(row[2]), strings.TrimSpace(row[3]), row[4]
		proven := testName.MatchString(proof)
		switch {
		case verdict == "same" && proven, verdict == "better" && proven && note != "":
		default:
			t.Errorf("check %d: verdict %q with note %q and proof %q; "+
				"want same (with a test) or better (with a test and how)", number, verdict, note, proof)
		}
	}
	for number := 1; number <= lastCheck; number++ {
		if !seen[number] {
			t.Errorf("check %d is missing", number)
		}
	}
	everyTest(t, page)
}

// everyTest compares the tests that the page names with those that exist.
func everyTest(t *testing.T, page string) {
	t.Helper()
	tests := testsOfTheModule(t)
	named := map[string]bool{}
	for _, name := range testName.FindAllStringSubmatch(page, -1) {
		named[name[1]] = true
		if !tests[name[1]] {
			t.Errorf("the page names %s, which does not exist", name[1])
		}
	}
	for name := range tests {
		if strings.HasPrefix(name, "TestCompat") && !named[name] && name != t.Name() {
			t.Errorf("the page does not name %s", name)
		}
	}
}

func testsOfTheModule(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, name := range testFunc.FindAllStringSubmatch(string(source), -1) {
			found[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
