package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// apiProducer pushes over HTTP, each worker on a connection of its own that is
// kept open.
type apiProducer struct {
	url     string
	token   string
	workers int
	client  *http.Client
}

func newAPIProducer(address, token string, workers int) *apiProducer {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &apiProducer{
		url: "http://" + address + "/api/v1/push", token: token, workers: workers,
		client: &http.Client{Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers, DisableCompression: true,
		}},
	}
}

// push sends one message and returns whether it was accepted; an error ends the run.
func (a *apiProducer) push(ctx context.Context, user string, content []byte) (accepted bool, err error) {
	body, err := json.Marshal(map[string]string{"user": user, "content": string(content)})
	if err != nil {
		return false, fmt.Errorf("encode a push: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("push over HTTP: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("push over HTTP: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, replyLimit)); err != nil {
		return false, fmt.Errorf("read the answer to a push: %w", err)
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return false, fmt.Errorf("push over HTTP: %s", response.Status)
	}
	return response.StatusCode/100 == 2, nil
}

// run sends a paced load. The schedule waits when every worker is busy: the rate
// that was reached is part of the result.
func (a *apiProducer) run(ctx context.Context, u unicastLoad) (sentLoad, error) {
	var accepted, refused atomic.Int64
	numbers := make(chan int)
	workers, ctx := errgroup.WithContext(ctx)
	for range a.workers {
		workers.Go(func() error {
			for number := range numbers {
				ok, err := a.push(ctx, userOf(scatter(number, u.users)), appendPayload(nil, number, u.size, time.Now()))
				if err != nil {
					return err
				}
				if ok {
					accepted.Add(1)
				} else {
					refused.Add(1)
				}
			}
			return nil
		})
	}
	err := u.pace.run(ctx, 1, func(first, _ int) error {
		select {
		case numbers <- first:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(numbers)
	if failed := workers.Wait(); failed != nil {
		err = failed // the first cause; the schedule only ended with it
	}
	replies := Replies{OK: accepted.Load(), Other: refused.Load()}
	return sentLoad{Sent: replies.total(), Replies: replies, Elapsed: time.Since(u.pace.start)}, err
}

func (a *apiProducer) close() { a.client.CloseIdleConnections() }
