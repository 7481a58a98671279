package configs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tree are all files of the repository, those not yet added too, from its top.
func tree(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if len(names) < 300 {
		t.Fatalf("the repository has only %d files", len(names))
	}
	return names
}

// secrets are what must not be in the repository, by how it looks; what has not even the
// sign is not looked at.
var secrets = []struct {
	what, sign string
	form       *regexp.Regexp
}{
	{"a robot's token", "access_token=", regexp.MustCompile(`access_token=[0-9a-fA-F]{64}`)},
	{"a robot's secret", "SEC", regexp.MustCompile(`\bSEC[0-9a-f]{64}\b`)},
	{"a private key", "PRIVATE KEY", regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{60}`)},
	{"a key of AWS", "AKIA", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`)},
	{"a token of GitHub", "gh", regexp.MustCompile(`\bgh[pousr]_[0-9A-Za-z]{36}\b`)},
	{"an address with a password", "@", regexp.MustCompile(`https?://[^\s/:@"'<>{}$]+:[^\s/:@"'<>{}$]{8,}@`)},
}

// published are keys that tests of key files need; nothing trusts them.
const published = "cmd/fanfare/config/testdata/keys/"

func findSecrets(text []byte) (found []string) {
	for _, s := range secrets {
		if bytes.Contains(text, []byte(s.sign)) && s.form.Match(text) {
			found = append(found, s.what)
		}
	}
	return found
}

func TestNoSecretInTheTree(t *testing.T) {
	t.Parallel()
	for _, name := range tree(t) {
		if strings.HasPrefix(name, published) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range findSecrets(text) {
			t.Errorf("%s holds %s", name, what)
		}
	}
}

func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, text := range []string{
		"url: https://oapi.dingtalk.com/robot/send?access_token=" + hex, "secret: SEC" + hex,
		"-----BEGIN " + "RSA PRIVATE KEY-----\n" + hex, "AKIA" + strings.ToUpper(hex[:16]), "ghp_" + hex[:36], "https://user:" + hex[:12] + "@host/",
	} {
		if len(findSecrets([]byte(text))) != 1 {
			t.Errorf("%.30s… is found as %v", text, findSecrets([]byte(text)))
		}
	}
	for _, text := range []string{"access_token=TOKEN", "secret: ${DINGTALK_SECRET}", "-----BEGIN " + "PUBLIC KEY-----\n" + hex, "http://user:${PASSWORD}@host/"} {
		if found := findSecrets([]byte(text)); found != nil {
			t.Errorf("%.30s… is taken for %v", text, found)
		}
	}
}

var (
	imageLine = regexp.MustCompile(`(?m)^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)`)
	fromLine  = regexp.MustCompile(`(?mi)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	pinned    = regexp.MustCompile(`^[^:@\s]+(?::[0-9]+/[^:@\s]+)?:v?[0-9]+\.[0-9][\w.-]*$|@sha256:[0-9a-f]{64}$`)
)

// unpinned are the images that a compose file or a Dockerfile takes whatever they are
// today. Our own image, which the compose file builds, is not taken from anywhere.
func unpinned(name, text string) (images []string) {
	stages := map[string]bool{"scratch": true}
	lines := imageLine.FindAllStringSubmatch(text, -1)
	if strings.HasPrefix(filepath.Base(name), "Dockerfile") {
		lines = fromLine.FindAllStringSubmatch(text, -1)
	}
	for _, line := range lines {
		if image := line[1]; !stages[image] && !pinned.MatchString(image) && image != "fanfare:${FANFARE_VERSION:-dev}" {
			images = append(images, image)
		}
		if len(line) > 2 {
			stages[line[2]] = true
		}
	}
	return images
}

func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	files := 0
	for _, name := range tree(t) {
		if base := filepath.Base(name); !strings.HasPrefix(base, "Dockerfile") && !regexp.MustCompile(`^(docker-)?compose.*\.ya?ml$`).MatchString(base) {
			continue
		}
		text := []byte(read(t, filepath.Join("..", name)))
		if files++; bytes.Contains(text, []byte(":latest")) {
			t.Errorf("%s names an image's tag latest", name)
		}
		for _, image := range unpinned(name, string(text)) {
			t.Errorf("%s: the image %s is not pinned", name, image)
		}
	}
	if files < 2 {
		t.Errorf("only %d files name images", files)
	}
}

func TestUnpinnedImagesAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"services:\n  a:\n    image: redis\n": "redis", "  image: redis:latest": "redis:latest", "  image: 'redis:7'": "redis:7", "  - image: redis:${V:-7.4}": "redis:${V:-7.4}",
		"  image: redis:7.4.1-alpine # why": "", "  image: a/b:v1.2.3": "", "  image: host:5000/a:1.2": "", "  image: fanfare:${FANFARE_VERSION:-dev}": "", "x-image: &image redis": "",
	} {
		if got := strings.Join(unpinned("docker-compose.yml", text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"FROM golang AS build\nFROM scratch\nFROM build": "golang", "FROM --platform=linux/amd64 golang:1.26.8 AS build\nCOPY --from=other x x": "", "from golang:latest": "golang:latest",
	} {
		if got := strings.Join(unpinned("Dockerfile", text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
