package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/fanfare-push/fanfare/settings"
)

// text reads a value and puts the environment in.
func (r *reader) text(key string, node ast.Node) (string, int, bool) {
	raw, line, ok := r.scalar(key, node)
	if !ok {
		return "", line, false
	}
	if r.source != "" { // it may be a secret that looks like a variable
		return raw, line, true
	}
	out, err := expand(raw, r.getenv)
	if err != nil {
		r.problem(line, key, "%v", err)
		return "", line, false
	}
	return out, line, true
}

func (r *reader) intoText(into *string) member {
	return func(key string, node ast.Node) {
		if s, _, ok := r.text(key, node); ok {
			*into = s
		}
	}
}

// intoTemplate does not put the environment in: a template may hold anything.
func (r *reader) intoTemplate(into *string) member {
	return func(key string, node ast.Node) {
		if s, _, ok := r.scalar(key, node); ok {
			*into = s
		}
	}
}

func (r *reader) intoSecret(into *Secret) member {
	return func(key string, node ast.Node) {
		if s, _, ok := r.text(key, node); ok {
			*into = Secret(strings.TrimSpace(s))
		}
	}
}

// maxSecretFile bounds a file that holds one secret, or certificates, in bytes.
const maxSecretFile = 1 << 20

// intoSecretFile reads the secret from the named file, relative to the configuration.
func (r *reader) intoSecretFile(into *Secret) member {
	return func(key string, node ast.Node) {
		name, line, ok := r.text(key, node)
		if !ok || name == "" {
			return
		}
		if looksSecret(name) {
			r.problem(line, key, "must be the name of a file; this looks like the address, token or secret itself, which belongs into that file")
			return
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(r.file), name)
		}
		r.files = append(r.files, name)
		data, err := readFile(name, maxSecretFile)
		if err != nil {
			r.problem(line, key, "%s %v", name, err)
			return
		}
		*into = Secret(strings.TrimSpace(string(data)))
	}
}

// tokenLike is what DingTalk's tokens and secrets look like.
var tokenLike = regexp.MustCompile(`^(SEC)?[0-9a-fA-F]{32,}$`)

// looksSecret reports whether somebody wrote a secret where its file belongs.
func looksSecret(name string) bool {
	return strings.Contains(name, "access_token") || strings.Contains(name, "://") || tokenLike.MatchString(name)
}

// intoCertificates reads the certificates of a file in PEM form.
func (r *reader) intoCertificates(into *Secret) member {
	return func(key string, node ast.Node) {
		r.intoSecretFile(into)(key, node)
		if *into != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(*into)) {
			_, line := r.value(node)
			r.problem(line, key, "%s has no certificate in PEM form", r.files[len(r.files)-1])
		}
	}
}

// readFile is [settings.ReadFile] with errors in the words of this package.
func readFile(name string, limit int64) ([]byte, error) {
	data, err := settings.ReadFile(name, limit)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("does not exist")
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("may not be read by this user")
	case errors.Is(err, settings.ErrDirectory):
		return nil, errors.New("is a folder, not a file")
	case errors.Is(err, settings.ErrTooLarge):
		return nil, fmt.Errorf("has more than %d bytes", limit)
	}
	return nil, errors.New("cannot be read")
}

func (r *reader) intoBool(into *bool) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok {
			return
		}
		switch strings.ToLower(s) {
		case "true", "yes", "on":
			*into = true
		case "false", "no", "off":
			*into = false
		default:
			r.problem(line, key, "must be true or false")
		}
	}
}

func (r *reader) intoInt(into *int, least, most int) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok {
			return
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			r.problem(line, key, "must be a whole number from %d to %d", least, most)
			return
		}
		*into = n
	}
}

func (r *reader) intoDuration(into *time.Duration, least, most time.Duration) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok {
			return
		}
		d, err := parseDuration(s)
		if err != nil || d < least || d > most {
			r.problem(line, key, "must be a duration from %v to %v, such as 500ms, 30s, 5m, 24h or 1d", least, most)
			return
		}
		*into = d
	}
}

// parseDuration reads Go's durations and whole days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 12)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

func (r *reader) intoSize(into *int64, least, most int64) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok {
			return
		}
		n, err := parseSize(s)
		if err != nil || n < least || n > most {
			r.problem(line, key, "must be a size from %d to %d bytes, such as 512KiB, 2MiB or 2097152", least, most)
			return
		}
		*into = n
	}
}

// parseSize reads bytes with an optional KiB, MiB or GiB.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(rest), 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int64(n) * unit, err
}

func (r *reader) intoTexts(into *[]string) member {
	return func(key string, node ast.Node) {
		var all []string
		for i, n := range r.list(key, node) {
			if s, _, ok := r.text(fmt.Sprintf("%s[%d]", key, i), n); ok && s != "" {
				all = append(all, s)
			}
		}
		*into = all
	}
}

// intoURL reads an http or https address; the empty text is none.
func (r *reader) intoURL(into *string) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok {
			return
		}
		if s != "" && !isAddress(s) {
			r.problem(line, key, "must be an address such as http://host:port")
			return
		}
		*into = strings.TrimRight(s, "/")
	}
}

func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
