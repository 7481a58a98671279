package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds of what is read of an answer, in bytes.
const (
	maxAnswer  = 16 << 20
	maxProblem = 64 << 10
	maxDrained = 64 << 10 // to keep the connection
	maxDetail  = 200      // of a refusal that is no problem document
)

// An APIError is a refusal of the HTTP API.
type APIError struct {
	Status     int           // of HTTP
	Code       string        // stable name of the problem; empty if another program answered
	Detail     string        // for people
	Field      string        // of the request that is wrong; empty if none
	RetryAfter time.Duration // how long the server asks to wait; 0 = it did not say
}

// Error gives status, code, detail and field.
func (e *APIError) Error() string {
	text := fmt.Sprintf("refused with status %d", e.Status)
	for _, part := range []struct{ before, text, after string }{
		{" ", e.Code, ""}, {": ", e.Detail, ""}, {" (field ", e.Field, ")"},
	} {
		if part.text != "" {
			text += part.before + part.text + part.after
		}
	}
	return text
}

// Temporary tells whether the same request may be accepted later.
func (e *APIError) Temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// call is one request to the API.
type call struct {
	method, path string
	body         []byte
	repeatable   bool          // doing it twice is as good as once
	wait         time.Duration // that the server was asked to take
}

// do tries a call until it succeeds, is refused for good or was tried often
// enough, and decodes the answer into out.
func (p *Pusher) do(ctx context.Context, c call, out any) error {
	for retry := 0; ; retry++ {
		err := p.try(ctx, c, out)
		wait, again := p.nextTry(ctx, c, err, retry)
		if !again {
			return err
		}
		if pause(ctx, wait) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// nextTry says whether to try again after err, and when.
func (p *Pusher) nextTry(ctx context.Context, c call, err error, retry int) (time.Duration, bool) {
	if err == nil || !c.repeatable || retry >= p.o.MaxRetries || ctx.Err() != nil {
		return 0, false
	}
	wait := p.backoff.wait(retry)
	var refused *APIError
	var broken *transportError
	switch {
	case errors.As(err, &refused):
		if !refused.Temporary() || refused.RetryAfter > p.o.MaxRetryWait {
			return 0, false
		}
		wait = max(wait, refused.RetryAfter)
	case !errors.As(err, &broken):
		return 0, false
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return 0, false
	}
	return wait, true
}

// transportError is a request or an answer that got lost.
type transportError struct{ error }

func (e *transportError) Unwrap() error { return e.error }

// try makes the call once.
func (p *Pusher) try(ctx context.Context, c call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.TryTimeout+c.wait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, p.base+c.path, bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if len(c.body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if p.o.Token != "" {
		request.Header.Set("Authorization", "Bearer "+p.o.Token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return &transportError{err}
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return readProblem(answer)
	}
	return readAnswer(answer, out)
}

func readAnswer(answer *http.Response, out any) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return &transportError{fmt.Errorf("reading the answer: %w", err)}
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("reading the answer: more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// readProblem reads application/problem+json, or what another program says.
func readProblem(answer *http.Response) error {
	refused := &APIError{Status: answer.StatusCode, RetryAfter: retryAfter(answer.Header.Get("Retry-After"), time.Now())}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	_, _ = io.CopyN(io.Discard, answer.Body, maxDrained) // an error only costs the connection
	if err != nil {
		refused.Detail = "unreadable: " + err.Error()
		return refused
	}
	var problem struct{ Code, Title, Detail, Field string }
	if json.Unmarshal(text, &problem) != nil {
		refused.Detail = printable(text)
		return refused
	}
	refused.Code, refused.Detail, refused.Field = problem.Code, problem.Detail, problem.Field
	if refused.Detail == "" {
		refused.Detail = problem.Title
	}
	return refused
}

// printable is the beginning of a text that nobody vouches for.
func printable(text []byte) string {
	text = text[:min(len(text), maxDetail)]
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), ""))
	return strings.TrimSpace(clean)
}

// retryAfter reads the header's two forms, seconds and a date. What cannot be
// read is 0, what is over too.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
