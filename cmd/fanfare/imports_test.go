package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fanfare-push/fanfare"

// listed is what "go list -json" tells of a package.
type listed struct {
	ImportPath, Name                   string
	Imports, TestImports, XTestImports []string
	Deps                               []string // of Imports, and theirs
}

func listPackages(t *testing.T, patterns ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports,Deps"}, patterns...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// mayImport is the direction of imports: a package may import what its line names,
// itself and its own sub-packages excepted, and nothing else of the module.
var mayImport = map[string][]string{
	"protocol":          {},
	"settings":          {},
	"exporter":          {"protocol"},
	"client":            {"protocol"},
	"server/store":      {"protocol", "exporter"},
	"server/cluster":    {"protocol", "server/store", "exporter"},
	"server/ledger":     {"protocol", "server/cluster", "exporter"},
	"server/proxy":      {"protocol", "exporter"},
	"server/canary":     {"protocol", "server/cluster", "exporter"},
	"server":            {"protocol", "server/cluster", "server/store", "server/ledger", "server/proxy", "client", "exporter"},
	"server/admin":      {"protocol", "server/cluster", "server/store", "server/ledger", "exporter"},
	"server/servertest": {"protocol", "server", "server/cluster", "server/store", "server/ledger", "client", "exporter"},
	"alloc":             {"protocol", "server/cluster", "server/store", "server/ledger", "client", "exporter"},
	"dingtalk":          {"protocol", "exporter", "settings"},
	"dashboards":        {"protocol", "exporter"},
	"bench":             {"protocol", "client", "exporter"},
}

// allowed finds the line for a package: its own or the nearest one above it.
func allowed(pkg string) (line string, list []string, ok bool) {
	for line = pkg; line != "."; line = filepath.Dir(line) {
		if list, ok = mayImport[line]; ok {
			return line, list, true
		}
	}
	return "", nil, false
}

func TestImportDirection(t *testing.T) {
	for _, p := range listPackages(t, module+"/...") {
		pkg := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "e2e") || strings.HasPrefix(pkg, "docs") || pkg == "configs" {
			continue
		}
		line, list, ok := allowed(pkg)
		if !ok {
			t.Errorf("package %s has no place in the layout", pkg)
			continue
		}
		for _, imported := range p.Imports {
			target, ours := strings.CutPrefix(imported, module+"/")
			if !ours || target == line || strings.HasPrefix(target, line+"/") && !mapped(target) || slices.Contains(list, target) {
				continue
			}
			t.Errorf("%s imports %s, which is against the direction", pkg, target)
		}
	}
}

func mapped(pkg string) bool { _, ok := mayImport[pkg]; return ok }

func TestProtocolIsALeaf(t *testing.T) {
	p := listPackages(t, module+"/protocol")[0]
	for _, imported := range p.Imports {
		if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
			t.Errorf("protocol imports %s; it may import the standard library only", imported)
		}
	}
}

// TestProgramIsFreeOfTestParts: what the tests need must not be shipped.
func TestProgramIsFreeOfTestParts(t *testing.T) {
	forbidden := []string{"testing", "net/http/httptest", "github.com/chromedp", "go.uber.org/goleak", "github.com/getkin/kin-openapi",
		"github.com/coder/websocket", "pgregory.net/rapid", module + "/alloc/console/consoletest", module + "/server/servertest"}
	p := listPackages(t, module+"/cmd/fanfare")[0]
	if len(p.Deps) < 100 {
		t.Fatalf("only %d dependencies were listed", len(p.Deps))
	}
	for _, dep := range p.Deps {
		for _, f := range forbidden {
			if dep == f || strings.HasPrefix(dep, f+"/") {
				t.Errorf("fanfare is built with %s", dep)
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	forbidden := []string{"internal", "pkg", "util", "utils", "common", "model", "models", "helpers", "misc"}
	for _, p := range listPackages(t, module+"/...") {
		for _, part := range append(strings.Split(strings.TrimPrefix(p.ImportPath, module), "/"), p.Name) {
			if slices.Contains(forbidden, part) {
				t.Errorf("package %s is called %s, which says nothing", p.ImportPath, part)
			}
		}
	}
}

func TestFileSizes(t *testing.T) {
	const most = 600
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "vendor" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		if n, err := countLines(path); err != nil || n > most {
			t.Errorf("%s has %d lines (%v); split it at a subject, the most is %d", path, n, err, most)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countLines(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		n++
	}
	return n, s.Err()
}
