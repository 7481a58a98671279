package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Bounds of an allocator's answer.
const (
	maxServerList = 64 << 10 // bytes
	maxServers    = 64
)

// servers knows where to connect: to one fixed address, or where the allocator
// says. It is not for concurrent use.
type servers struct {
	fixed  string
	url    string
	client *http.Client
	o      *DeviceOptions
	last   []string // the allocator's last answer
}

func newServers(o *DeviceOptions) *servers {
	client := o.HTTPClient
	if client == nil {
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	return &servers{fixed: o.Address, url: o.Allocator, client: client, o: o}
}

// list asks for the addresses to try, in order. While the allocator cannot be
// reached its last answer serves.
func (s *servers) list(ctx context.Context) ([]string, error) {
	if s.fixed != "" {
		return []string{s.fixed}, nil
	}
	fresh, err := s.fetch(ctx)
	if err != nil {
		if len(s.last) == 0 || ctx.Err() != nil {
			return nil, err
		}
		s.o.Logger.Warn("the allocator does not answer: trying the servers it named last", "device", s.o.DeviceID, "error", err)
		return s.last, nil
	}
	s.last = fresh
	return fresh, nil
}

func (s *servers) fetch(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the allocator: %w", err)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the allocator: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxServerList))
	if err != nil {
		return nil, fmt.Errorf("asking the allocator: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking the allocator: status %s", answer.Status)
	}
	return parseServers(string(text))
}

// parseServers reads "host:port,host:port". What is not an address is left out.
func parseServers(text string) ([]string, error) {
	var list []string
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		if host, port, err := net.SplitHostPort(entry); err != nil || host == "" || port == "" {
			continue
		}
		if list = append(list, entry); len(list) == maxServers {
			break
		}
	}
	if len(list) == 0 {
		return nil, ErrNoServers
	}
	return list, nil
}
