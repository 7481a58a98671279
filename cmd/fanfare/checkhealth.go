package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxHealthText bounds what is read and shown of an unwell process's answer, in bytes.
const maxHealthText = 300

// checkHealthCmd asks a process how it is. The container image has neither a shell
// nor curl; this is what its health checks run.
type checkHealthCmd struct {
	URL     string        `arg:"" optional:"" name:"url" help:"What to ask." default:"http://127.0.0.1:9310/-/ready"`
	Timeout time.Duration `help:"How long the answer may take." default:"3s"`
}

// Help is shown by --help.
func (checkHealthCmd) Help() string {
	return `Exits 0 if the URL answers with a 2xx status, else 1 with a line that says what it answered. /-/ready tells whether a
process can do its work, /-/healthy only that it lives. Meant for health checks of containers and init systems.

Examples:

  fanfare check-health
  fanfare check-health http://127.0.0.1:9999/-/ready --timeout 1s`
}

// Run is called by kong.
func (cmd *checkHealthCmd) Run(p *process) error {
	if cmd.Timeout <= 0 {
		return usagef("--timeout must be above 0")
	}
	ctx, cancel := context.WithTimeout(p.ctx, cmd.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cmd.URL, nil)
	if err != nil || request.URL.Host == "" {
		return usagef("%q is not an http or https URL, such as http://127.0.0.1:9310/-/ready", cmd.URL)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", cmd.URL, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return fmt.Errorf("%s answers %s%s", cmd.URL, answer.Status, reason(answer.Body))
}

// reason is the beginning of a body on one line, after a colon.
func reason(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, maxHealthText))
	if words := strings.Join(strings.Fields(string(text)), " "); err == nil && words != "" {
		return ": " + words
	}
	return ""
}
