package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	keyBits       = 2048     // of the RSA key of the handshake
	maxSecretSize = 64 << 10 // bytes read of a file that is there already
)

// Who may read a file.
const (
	ownerReads    fs.FileMode = 0o400
	everyoneReads fs.FileMode = 0o444
)

// secretModes is who may read which file; those not named, the owner alone.
var secretModes = map[string]fs.FileMode{
	publicKeyName: everyoneReads, redisPasswordName: everyoneReads, redisConfigName: everyoneReads, redisExporterName: everyoneReads,
	grafanaAdminName: everyoneReads,
}

// secretFiles keeps files with secrets below a directory and tells out what became
// of each, never what it holds.
type secretFiles struct {
	dir string
	out io.Writer
}

// keep returns what the file holds, after making it if it is missing. Of two that
// make it at once one succeeds, and both return the same.
func (s *secretFiles) keep(name string, create func() ([]byte, error)) ([]byte, error) {
	text, err := s.read(name)
	if err == nil {
		return text, s.say("kept", name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if text, err = create(); err != nil {
		return nil, err
	}
	switch err = s.write(name, text, os.Link); {
	case errors.Is(err, fs.ErrExist):
		return s.read(name)
	case err != nil:
		return nil, err
	}
	return text, s.say("made", name)
}

// follow makes a file hold text, which is made from another file.
func (s *secretFiles) follow(name string, text []byte) error {
	if old, err := s.read(name); err == nil && bytes.Equal(old, text) {
		return s.say("kept", name)
	}
	if err := s.write(name, text, os.Rename); err != nil {
		return err
	}
	return s.say("made", name)
}

func (s *secretFiles) say(what, name string) error {
	if _, err := fmt.Fprintf(s.out, "%s %s\n", what, filepath.Join(s.dir, name)); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// read returns what a file holds. A file without anything in it is an error: to
// make another secret in its place might lock somebody out.
func (s *secretFiles) read(name string) ([]byte, error) {
	path := filepath.Join(s.dir, name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSecretSize:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSecretSize)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, fmt.Errorf("%s is empty; remove it to have a new one made", path)
	}
	return text, nil
}

// write puts text into a file that appears whole or not at all: place gives the
// finished file its name.
func (s *secretFiles) write(name string, text []byte, place func(from, to string) error) error {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	mode, ok := secretModes[name]
	if !ok {
		mode = ownerReads
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), path)
}

func newPrivateKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("making an RSA key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing an RSA key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// publicPEM is the public half of a private key, in any form that a node takes.
func publicPEM(private []byte) ([]byte, error) {
	key, err := protocol.ParseKeyPair(private, nil)
	if err != nil {
		return nil, err
	}
	text, err := key.Public().MarshalText()
	if err != nil {
		return nil, err
	}
	der, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading what was just written: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
