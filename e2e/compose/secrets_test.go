package compose

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEnvironmentHoldsNoSecrets allows names of files only, and what is empty until .env
// says something.
func TestEnvironmentHoldsNoSecrets(t *testing.T) {
	secret := regexp.MustCompile(`(?i)(password|passwd|token|secret|private_key|digest)`)
	file := regexp.MustCompile(`^(--[a-z-]+-file=)?/`)
	for name, s := range load(t).Services {
		for key, value := range s.Environment {
			if secret.MatchString(key) && !strings.HasSuffix(key, "_FILE") && (value == nil || *value != "") {
				t.Errorf("%s: %s in the environment", name, key)
			}
		}
		for _, word := range slices.Concat(s.Command, s.Entrypoint) {
			if secret.MatchString(word) && !file.MatchString(word) && word != "init-secrets" {
				t.Errorf("%s: %q on the command line", name, word)
			}
		}
	}
}

// TestSettingsAreDocumented compares .env.example with the variables that are used.
func TestSettingsAreDocumented(t *testing.T) {
	variable := regexp.MustCompile(`\$\{(\w+):-[^}]*\}`)
	used := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		used[m[1]] = true
	}
	if len(used) < 4 {
		t.Errorf("found %d variables", len(used))
	}
	for _, m := range regexp.MustCompile(`(?m)^#? ?(\w+)=`).FindAllStringSubmatch(read(t, ".env.example"), -1) {
		if !used[m[1]] {
			t.Errorf(".env.example has %s, which docker-compose.yml does not use", m[1])
		}
		delete(used, m[1])
	}
	if len(used) > 0 {
		t.Errorf(".env.example lacks %v", used)
	}
}

// forTests are the files whose keys open nothing.
var forTests = regexp.MustCompile(`(^|/)testdata/|_test\.go$|^protocol/key_demo\.go$`)

// robot is what DingTalk gives out: the token of a webhook and the secret that signs.
var robot = regexp.MustCompile(`access_token=[0-9a-f]{64}|\bSEC[0-9a-f]{64}`)

// TestNoSecretsInTheTree looks for private keys, tokens, and files that hold secrets.
func TestNoSecretsInTheTree(t *testing.T) {
	key := []byte("PRIVATE" + " KEY-----")
	files := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if e.IsDir() {
			if slices.Contains([]string{".git", "bin", "dist", "data", "secrets"}, name) {
				return fs.SkipDir
			}
			return nil
		}
		files++
		if own, _ := filepath.Match("*.pem", name); own || name == ".env" { // git ignores them
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // a file of another test, gone again
			return nil
		}
		if err == nil && bytes.Contains(text, key) && !forTests.MatchString(name) {
			t.Errorf("%s holds a private key", name)
		}
		if found := robot.Find(text); err == nil && found != nil && !placeholder(found) {
			t.Errorf("%s holds the secret of a DingTalk robot", name)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("looked at %d files: %v", files, err)
	}
	for _, line := range []string{"/.env", "/*.pem"} {
		if !slices.Contains(strings.Split(read(t, ".gitignore"), "\n"), line) {
			t.Errorf(".gitignore lacks %s", line)
		}
	}
}

// placeholder tells whether a secret is the same digit all over, as in an example.
func placeholder(secret []byte) bool {
	digits := secret[len(secret)-64:]
	return bytes.Count(digits, digits[:1]) == len(digits)
}

// TestSecretsStayOutOfTheImage checks what .dockerignore keeps from the builder.
func TestSecretsStayOutOfTheImage(t *testing.T) {
	lines := strings.Split(read(t, ".dockerignore"), "\n")
	for _, line := range []string{".git", "**/*.pem", "**/.env*", "secrets"} {
		if !slices.Contains(lines, line) {
			t.Errorf(".dockerignore lacks %s", line)
		}
	}
}
