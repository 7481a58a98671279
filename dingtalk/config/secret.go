package config

import (
	"log/slog"
	"net/url"
)

// hidden is what is shown instead of a secret.
const hidden = "<secret>"

// Secret is a text that no log, error or page may show: printing it in any way gives
// "<secret>", or nothing when it is empty.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps encoders from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the log from showing the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Masked returns an address without what is secret in it: user, password and the values
// of its query. A text that is no address is hidden whole.
func (s Secret) Masked() string {
	u, err := url.Parse(string(s))
	if s == "" || err != nil || u.Host == "" {
		return s.String()
	}
	masked := u.Scheme + "://" + u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		masked += "?"
		for i, name := range sortedKeys(u.Query()) {
			if i > 0 {
				masked += "&"
			}
			masked += url.QueryEscape(name) + "=" + hidden
		}
	}
	return masked
}
