package config

import (
	"fmt"
	"log/slog"
)

// mask is what a secret looks like wherever it is printed.
const mask = "[secret]"

// Secret is a text that must not be seen: fmt with any verb, slog, JSON, YAML and
// text encoders all write a mask. The text sits behind a pointer, so that even fmt
// printing a struct with an unexported Secret shows an address only.
type Secret struct{ text *string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal gives the text itself, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty tells whether no text is there.
func (s Secret) Empty() bool { return s.Reveal() == "" }

func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return mask
}

// GoString writes the mask for %#v.
func (s Secret) GoString() string { return s.String() }

// Format writes the mask whatever the verb is.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText writes the mask; JSON and YAML encoders use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText keeps the text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// LogValue gives slog the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
