package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/protocol"
)

// secretCount is how many files there are in all.
const secretCount = 8

// readSecrets reads every file below a directory.
func readSecrets(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInitSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	first := run(t, "", nil, "init-secrets", dir)
	if first.code != exitOK || first.stderr != "" || strings.Count(first.stdout, "made ") != secretCount {
		t.Fatalf("%+v", first)
	}
	files := readSecrets(t, dir)
	if len(files) != secretCount {
		t.Errorf("%d files", len(files))
	}
	for name, text := range files {
		for line := range strings.Lines(text) {
			if strings.Contains(first.stdout, strings.TrimSpace(line)) {
				t.Errorf("a line of %s was printed", name)
			}
		}
		want := fs.FileMode(0o400)
		if strings.HasPrefix(name, "redis/") || strings.HasPrefix(name, "grafana/") || name == "fanfare/public.pem" {
			want = 0o444
		}
		if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Mode() != want {
			t.Errorf("%s: mode %v, want %v: %v", name, i.Mode(), want, err)
		}
	}
	if i, err := os.Stat(dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v: %v", i.Mode(), err)
	}
	if want := "requirepass \"" + strings.TrimSpace(files["redis/password"]) + "\"\n"; files["redis/redis.conf"] != want {
		t.Errorf("redis.conf: %q", files["redis/redis.conf"])
	}
	if want := `{"redis://redis:6379":"` + strings.TrimSpace(files["redis/password"]) + "\"}\n"; files["redis/exporter.json"] != want {
		t.Errorf("exporter.json: %q", files["redis/exporter.json"])
	}
	if r := run(t, "", nil, "init-secrets", dir, "--print", "grafana-password"); r.stdout != files["grafana/admin-password"] || len(r.stdout) < 20 {
		t.Errorf("the printed password of Grafana: %+v", r)
	}
	again := run(t, "", nil, "init-secrets", dir)
	if again.code != exitOK || strings.Count(again.stdout, "kept ") != secretCount {
		t.Errorf("again: %+v", again)
	}
	for name, text := range readSecrets(t, dir) {
		if text != files[name] {
			t.Errorf("%s changed", name)
		}
	}
}

// TestInitSecretsSuitANode loads them as a node and an allocator would.
func TestInitSecretsSuitANode(t *testing.T) {
	dir := t.TempDir()
	if r := run(t, "", nil, "init-secrets", dir); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	var set []config.Assignment
	for key, name := range map[string]string{
		"security.private_key_file": privateKeyName, "security.gateway_secret_file": gatewaySecretName,
		"api.tokens_file": apiTokensName, "store.redis.password_file": redisPasswordName,
	} {
		set = append(set, config.Assignment{Source: "--set", Key: key, Text: filepath.Join(dir, name)})
	}
	c, _, err := config.Load(config.Options{Role: config.RoleNode, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.KeyPair()
	if err != nil || key.Bits() != 2048 || key.IsDemo() {
		t.Errorf("%v: %v", key, err)
	}
	printed := run(t, "", nil, "init-secrets", dir, "--print", "public-key")
	if public, err := protocol.ParsePublicKey([]byte(printed.stdout)); err != nil || !public.Equal(key.Public()) {
		t.Errorf("the printed public key: %v", err)
	}
	if r := run(t, "", nil, "init-secrets", dir, "--print", "api-token"); strings.TrimSpace(r.stdout) != c.API.Tokens[0].Reveal() {
		t.Errorf("the printed token: %q", r.stdout)
	}
}

// TestInitSecretsKeepsOnesOwn puts some files there first.
func TestInitSecretsKeepsOnesOwn(t *testing.T) {
	dir := t.TempDir()
	demo, err := os.ReadFile("../../protocol/key_demo.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{
		apiTokensName: "# of the shop\n\n  the-token-of-the-shop\nanother-token-of-it\n", redisPasswordName: "my password!", gatewaySecretName: "0123456789abcdef",
	}
	for name, text := range own {
		writeSecret(t, dir, name, text)
	}
	writeSecret(t, dir, redisConfigName, "requirepass old")
	writeSecret(t, dir, publicKeyName, string(demo)) // what does not fit the private key
	r := run(t, "", nil, "init-secrets", dir, "--print", "api-token")
	if r != (result{stdout: "the-token-of-the-shop\n"}) {
		t.Errorf("%+v", r)
	}
	files := readSecrets(t, dir)
	for name, text := range own {
		if files[name] != text {
			t.Errorf("%s: %q", name, files[name])
		}
	}
	if files[redisConfigName] != "requirepass \"my password!\"\n" {
		t.Errorf("redis.conf: %q", files[redisConfigName])
	}
	if _, err := protocol.ParsePublicKey([]byte(files[publicKeyName])); err != nil {
		t.Error(err)
	}
}

func writeSecret(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestInitSecretsAtOnce starts several; all of them end with the same secrets.
func TestInitSecretsAtOnce(t *testing.T) {
	dir := t.TempDir()
	texts := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			s := &secretFiles{dir: dir, out: io.Discard}
			if err := s.makeAll(); err != nil {
				t.Error(err)
			}
			text, err := s.read(apiTokensName)
			if err != nil {
				t.Error(err)
			}
			texts[i] = text
		})
	}
	wg.Wait()
	for _, text := range texts {
		if !bytes.Equal(text, texts[0]) {
			t.Errorf("two tokens: %q and %q", text, texts[0])
		}
	}
	if n := len(readSecrets(t, dir)); n != secretCount {
		t.Errorf("%d files", n)
	}
}

func TestInitSecretsRefusals(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{privateKeyName, "nonsense", "fanfare/private.pem: "},
		{apiTokensName, " \n", "fanfare/api-tokens is empty; remove it to have a new one made"},
		{redisPasswordName, "a \"quoted\" one", "redis/password: holds a password that cannot be written to redis.conf"},
		{gatewaySecretName, strings.Repeat("x", maxSecretSize+1), "fanfare/gateway-secret is larger than"},
	} {
		dir := t.TempDir()
		writeSecret(t, dir, c.name, c.text)
		r := run(t, "", nil, "init-secrets", dir)
		r.wantLine(t, exitFailure, c.want)
		if c.name == redisPasswordName && strings.Contains(r.stderr, "quoted") {
			t.Errorf("the password is shown: %s", r.stderr)
		}
	}
	run(t, "", nil, "init-secrets", "main_test.go").wantLine(t, exitFailure, "not a directory")
	run(t, "", nil, "init-secrets").wantLine(t, exitUsage, "<dir>")
	run(t, "", nil, "init-secrets", "x", "--print", "everything").wantLine(t, exitUsage, "--print must be one of")
	if _, err := os.Stat("x"); err == nil {
		t.Error("a wrong command line left a directory")
	}
}

func TestInitSecretsWithoutAnOutput(t *testing.T) {
	s := &secretFiles{dir: t.TempDir(), out: failingWriter{}}
	if err := s.makeAll(); err == nil {
		t.Error("a failing output went unnoticed")
	}
}

// TestClusterConfigs checks the configurations of docker-compose.yml with secrets as
// they are made there.
func TestClusterConfigs(t *testing.T) {
	dir := t.TempDir()
	if r := run(t, "", nil, "init-secrets", dir); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	keys := map[string]string{
		privateKeyName: "security.private_key_file", gatewaySecretName: "security.gateway_secret_file",
		apiTokensName: "api.tokens_file", redisPasswordName: "store.redis.password_file",
	}
	for role, names := range map[string][]string{
		"node":  {privateKeyName, gatewaySecretName, redisPasswordName},
		"alloc": {apiTokensName, gatewaySecretName, redisPasswordName},
	} {
		file := "../../configs/fanfare/cluster/" + role + ".yaml"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"check-config", "--for", role, "--config", file}
		for _, name := range names {
			if !strings.Contains(string(text), "/secrets/"+name+"\n") {
				t.Errorf("%s does not look for %s where it is made", file, name)
			}
			args = append(args, "--set", keys[name]+"="+filepath.Join(dir, name))
		}
		if r := run(t, "", nil, args...); r != (result{0, "the configuration is good\n", ""}) {
			t.Errorf("%s: %+v", file, r)
		}
	}
}
