package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "1d": 24 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond,
		"-1s": -time.Second, "250ms": 250 * time.Millisecond,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%q is %v, %v; want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"", "10", "d", "-1d", "1.5d", "1d-1h", "99999999d", "65535d9999999h", "1w", "1 s", "1d1d"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 3 * time.Minute: "3m", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m",
		10 * time.Minute: "10m", 20 * time.Hour: "20h", time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
		var back Duration
		if err := back.UnmarshalText([]byte(Duration(d).String())); err != nil || back.Std() != d {
			t.Errorf("%v comes back as %v, %v", d, back, err)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "100": 100, "10k": 10 << 10, "10K": 10 << 10, "64MB": 64 << 20, "64MiB": 64 << 20, "2g": 2 << 30, "7b": 7, "8589934591g": 8589934591 << 30,
	} {
		var z Size
		if err := z.UnmarshalText([]byte(text)); err != nil || z != want {
			t.Errorf("%q is %d, %v; want %d", text, int64(z), err, int64(want))
		}
	}
	for _, text := range []string{"", "k", "10kk", "-1", "1.5k", "10 k", "1t", "8589934592g", "99999999999999999999", "0x10", "ki", "1bk"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for z, want := range map[Size]string{0: "0", 100: "100", 1 << 10: "1k", 1536: "1536", 64 << 20: "64m", 3 << 30: "3g"} {
		if z.String() != want {
			t.Errorf("%d is written %s, want %s", int64(z), z, want)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	const word = "swordfish"
	secret := NewSecret(word)
	holder := struct {
		Open   Secret
		List   []Secret
		Map    map[string]Secret
		hidden Secret
	}{secret, []Secret{secret}, map[string]Secret{"a": secret}, secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%p"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", &holder)
	}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		text, err := marshal(holder)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", secret, "holder", holder, "pointer", &secret, "error", fmt.Errorf("with %v", secret))
	}
	c := Default()
	c.Security.PrivateKey, c.API.Tokens = secret, []Secret{secret}
	fmt.Fprintf(&out, "%v %+v %#v", c, c, *c)
	hex := fmt.Sprintf("%x", word)
	if s := out.String(); strings.Contains(s, word) || strings.Contains(s, hex) || !strings.Contains(s, mask) {
		t.Errorf("a secret is shown:\n%s", s)
	}
	if secret.Reveal() != word || (Secret{}).Reveal() != "" || (Secret{}).String() != "" {
		t.Error("the secret cannot be used")
	}
}

func TestSuggestions(t *testing.T) {
	names := []string{"level", "format", "max_packet_size", "user_bytes"}
	for name, want := range map[string]string{
		"lvel": "level", "levle": "level", "Level": "level", "fromat": "format", "maxpacketsize": "max_packet_size",
		"colour": "", "": "", strings.Repeat("level", 1000): "", "userbytes": "user_bytes",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("%q suggests %q, want %q", name, got, want)
		}
	}
}
