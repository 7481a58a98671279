package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Where the secrets of a cluster stand below the directory of init-secrets. Redis and
// Grafana have directories of their own: they run as other users, and may see their
// password only.
const (
	privateKeyName    = "fanfare/private.pem"
	publicKeyName     = "fanfare/public.pem"
	apiTokensName     = "fanfare/api-tokens"
	gatewaySecretName = "fanfare/gateway-secret"
	redisPasswordName = "redis/password"
	redisConfigName   = "redis/redis.conf"
	redisExporterName = "redis/exporter.json"
	grafanaAdminName  = "grafana/admin-password"
)

// redisURL is by what name redis_exporter looks the password up.
const redisURL = "redis://redis:6379"

// initSecretsCmd makes the secrets of a new cluster.
type initSecretsCmd struct {
	Dir   string `arg:"" help:"Directory that gets the files."`
	Print string `help:"Afterwards print one of them and nothing else: api-token, public-key, which devices need, or grafana-password." enum:",api-token,public-key,grafana-password" default:"" placeholder:"NAME"`
}

// Help is shown by --help.
func (initSecretsCmd) Help() string {
	return `Makes what a cluster keeps secret and no two clusters should share, each in a file of its own:

  fanfare/private.pem     the RSA key of the handshake   security.private_key_file
  fanfare/public.pem      its public half, for devices
  fanfare/api-tokens      a token of the HTTP API        api.tokens_file
  fanfare/gateway-secret  what nodes know each other by  security.gateway_secret_file
  redis/password          Redis's password               store.redis.password_file
  redis/redis.conf        the same for redis-server
  redis/exporter.json     the same for redis_exporter, for ` + redisURL + `
  grafana/admin-password  of Grafana's user admin        GF_SECURITY_ADMIN_PASSWORD__FILE

A file that is there already is kept, so it is safe to do this at every start and to put files of one's own there first.
Only the owner may read the private ones. Those of Redis and Grafana, which run as other users, everybody who gets into the
directory may read; keep others out of it.

Examples:

  fanfare init-secrets ./secrets
  fanfare init-secrets ./secrets --print api-token`
}

// Run is called by kong.
func (cmd *initSecretsCmd) Run(p *process) error {
	said := p.stdout
	if cmd.Print != "" {
		said = io.Discard
	}
	s := &secretFiles{dir: cmd.Dir, out: said}
	if err := s.makeAll(); err != nil {
		return fmt.Errorf("making secrets: %w", err)
	}
	return s.print(p.stdout, cmd.Print)
}

// makeAll makes every file that is missing.
func (s *secretFiles) makeAll() error {
	key, err := s.keep(privateKeyName, newPrivateKey)
	if err != nil {
		return err
	}
	public, err := publicPEM(key)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, privateKeyName), err)
	}
	if err := s.follow(publicKeyName, public); err != nil {
		return err
	}
	for _, name := range []string{apiTokensName, gatewaySecretName, grafanaAdminName} {
		if _, err := s.keep(name, newText); err != nil {
			return err
		}
	}
	password, err := s.keep(redisPasswordName, newText)
	if err != nil {
		return err
	}
	config, err := redisConfig(password)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, redisPasswordName), err)
	}
	if err := s.follow(redisConfigName, config); err != nil {
		return err
	}
	exporter, err := json.Marshal(map[string]string{redisURL: strings.TrimSpace(string(password))})
	if err != nil {
		return err
	}
	return s.follow(redisExporterName, append(exporter, '\n'))
}

// newText is a secret of 26 letters and digits, 130 bits.
func newText() ([]byte, error) { return []byte(rand.Text() + "\n"), nil }

// redisConfig tells redis-server the password. Redis reads a quoted string with
// escapes; a password that would need them is refused.
func redisConfig(password []byte) ([]byte, error) {
	text := strings.TrimSpace(string(password))
	for _, r := range text {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return nil, fmt.Errorf("holds a password that cannot be written to redis.conf; use printable ASCII without quotes and backslashes")
		}
	}
	return fmt.Appendf(nil, "requirepass \"%s\"\n", text), nil
}

// print shows the secret a person asked for.
func (s *secretFiles) print(w io.Writer, which string) error {
	name := map[string]string{"api-token": apiTokensName, "public-key": publicKeyName, "grafana-password": grafanaAdminName}[which]
	if name == "" {
		return nil
	}
	text, err := s.read(name)
	if err != nil {
		return err
	}
	if which == "api-token" {
		text = firstToken(text)
	}
	_, err = w.Write(text)
	return err
}

// firstToken is the first line that holds a token.
func firstToken(text []byte) []byte {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return []byte(line + "\n")
		}
	}
	return nil
}
