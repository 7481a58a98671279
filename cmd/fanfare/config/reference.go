package config

import (
	"fmt"
	"strings"
)

// Reference writes the description of every setting as Markdown.
func Reference() []byte {
	b := []byte(`# Configuration

<!-- Made by "fanfare check-config --reference"; edit the tags in cmd/fanfare/config/config.go instead. -->

One YAML file, named with ` + "`--config`" + `, and nothing is needed in it: every setting has a default. Keys are
strict: an unknown or repeated one is an error that names file, line and key. Each setting can also be given in the
environment and with ` + "`--set section.key=value`" + `, which may be repeated; the command line wins over the environment,
the environment over the file, the file over the default. In the environment and in ` + "`--set`" + ` lists are comma
separated. ` + "`fanfare check-config`" + ` tells everything that a start would complain about.

A key that holds a secret has a twin with ` + "`_file`" + `: the name of a file to read it from. File names in the configuration
file are relative to it. Secrets are never printed, logged or shown.

Durations are written as ` + "`500ms`, `30s`, `3m`, `24h` or `1d`" + `, sizes as bytes or with ` + "`k`, `m`, `g`" + ` (powers of 1024;
` + "`64MB` means `64m`" + `). A listen address is ` + "`host:port`" + `, or ` + "`:port`" + ` for every interface.

` + "`fanfare run`" + ` puts the listeners marked † on 127.0.0.1 where nothing else is configured, and on HOST with
` + "`--listen HOST`" + `.
`)
	section := ""
	for _, f := range Fields() {
		if name, _, _ := strings.Cut(f.Key, "."); name != section {
			section = name
			b = fmt.Appendf(b, "\n## %s\n\n| key | default | environment | meaning |\n|---|---|---|---|\n", name)
		}
		b = fmt.Appendf(b, "| `%s`%s | %s | `%s` | %s |\n", f.Key, dagger(f), code(f.Default), f.Env, f.meaning())
	}
	return b
}

func dagger(f Field) string {
	if f.Public {
		return " †"
	}
	return ""
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// meaning is the doc text with the bounds behind it.
func (f Field) meaning() string {
	s := f.Doc
	if f.List {
		s += " A list."
	}
	if len(f.OneOf) > 1 {
		s += " One of " + code(strings.Join(f.OneOf, "`, `")) + "."
	}
	switch {
	case f.Min != "" && f.Max != "":
		s += fmt.Sprintf(" From %s to %s.", code(f.Min), code(f.Max))
	case f.Min != "":
		s += fmt.Sprintf(" At least %s.", code(f.Min))
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
