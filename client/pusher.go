package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/protocol"
)

// The values that [PusherOptions] fields have when they are zero.
const (
	DefaultTryTimeout   = 30 * time.Second
	DefaultMaxRetries   = 3
	DefaultMaxRetryWait = 30 * time.Second
)

// PusherOptions say which cluster to push to. Only URL is needed.
type PusherOptions struct {
	URL   string // of the allocator, for example "http://127.0.0.1:9999"; a path is a prefix
	Token string // sent as bearer token; never logged and in no error

	TryTimeout   time.Duration // for one try, on top of PushRequest.Wait
	MaxRetries   int           // further tries of a request that can be repeated; negative = none
	MaxRetryWait time.Duration // a longer Retry-After ends the tries

	HTTPClient *http.Client // the default keeps connections until [Pusher.Close]
}

// Pusher pushes through the HTTP API. It may be used by several goroutines.
//
// A request that can be repeated without harm is tried again after 429, 502, 503,
// 504 and network errors: as long after as Retry-After says, else after a random,
// growing time. Pushes are such requests, because each carries an id by which the
// cluster knows it; kicks are not. Refusals are [*APIError].
type Pusher struct {
	base    string
	o       PusherOptions
	client  *http.Client
	backoff Backoff
}

// NewPusher checks the options; nothing is sent. The error is an [*OptionError].
func NewPusher(o PusherOptions) (*Pusher, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &OptionError{"URL", "is not an http or https URL"} // unquoted: it may hold a password
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, &OptionError{"URL", "has a query or a fragment"}
	}
	if o.TryTimeout < 0 || o.MaxRetryWait < 0 {
		return nil, &OptionError{"TryTimeout", "or MaxRetryWait is negative"}
	}
	orDefault(&o.TryTimeout, DefaultTryTimeout)
	orDefault(&o.MaxRetries, DefaultMaxRetries)
	orDefault(&o.MaxRetryWait, DefaultMaxRetryWait)
	client := o.HTTPClient
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		}}
	}
	return &Pusher{
		base: strings.TrimSuffix(u.String(), "/"), o: o, client: client,
		backoff: Backoff{Min: 200 * time.Millisecond, Max: min(5*time.Second, o.MaxRetryWait)},
	}, nil
}

// Close closes the idle connections of the HTTP client.
func (p *Pusher) Close() { p.client.CloseIdleConnections() }

// Push sends one message. If r.ID is empty it gets a ULID before the first try;
// the result holds the id also when there is an error, so that the fate of the
// message can be asked for with [Pusher.Message].
func (p *Pusher) Push(ctx context.Context, r PushRequest) (PushResult, error) {
	if r.ID == "" {
		r.ID = ulid.Make().String()
	}
	result := PushResult{ID: r.ID}
	body, err := json.Marshal(r)
	if err != nil {
		return result, fmt.Errorf("pushing %s: %w", r.ID, err)
	}
	if err := p.do(ctx, call{http.MethodPost, "/api/v1/push", body, true, r.Wait}, &result); err != nil {
		return PushResult{ID: r.ID}, fmt.Errorf("pushing %s: %w", r.ID, err)
	}
	return result, nil
}

// Message asks what became of a message, or how far a broadcast is. After the
// retention, for an id that never was, and of an allocator that did not accept the
// message, the error is an [*APIError] with status 404.
func (p *Pusher) Message(ctx context.Context, id string) (MessageStatus, error) {
	var m MessageStatus
	err := p.do(ctx, get("/api/v1/messages/"+url.PathEscape(id)), &m)
	if err != nil {
		return m, fmt.Errorf("asking for message %s: %w", id, err)
	}
	return m, nil
}

// Cancel stops a broadcast that runs; what was sent stays sent, and [Pusher.Message]
// tells the end. The error is an [*APIError] with status 409 if the message has ended or
// is no broadcast, and with 404 if this allocator does not know it.
func (p *Pusher) Cancel(ctx context.Context, id string) error {
	var answer struct{}
	if err := p.do(ctx, call{http.MethodPost, "/api/v1/messages/" + url.PathEscape(id) + "/cancel", nil, true, 0}, &answer); err != nil {
		return fmt.Errorf("cancelling message %s: %w", id, err)
	}
	return nil
}

// User lists the devices of a user, online or not.
func (p *Pusher) User(ctx context.Context, user string) ([]UserDevice, error) {
	var answer struct {
		Devices []UserDevice `json:"devices"`
	}
	if err := p.do(ctx, get(userPath(user)), &answer); err != nil {
		return nil, fmt.Errorf("asking for user %q: %w", user, err)
	}
	return answer.Devices, nil
}

// Kick ends the connections of a user, those of one class or all, and returns how
// many were ended or are being ended by other nodes that were told. It is tried once: a second try could end a connection made since.
func (p *Pusher) Kick(ctx context.Context, user string, only ...protocol.ClientType) (int, error) {
	var body []byte
	switch len(only) {
	case 0:
	case 1:
		body, _ = json.Marshal(map[string]protocol.ClientType{"client_type": only[0]}) // names always marshal
	default:
		return 0, &OptionError{"only", "names more than one client type"}
	}
	var answer struct {
		Kicked int `json:"kicked"`
	}
	if err := p.do(ctx, call{http.MethodPost, userPath(user) + "/kick", body, false, 0}, &answer); err != nil {
		return 0, fmt.Errorf("kicking user %q: %w", user, err)
	}
	return answer.Kicked, nil
}

// Nodes lists the nodes of the cluster.
func (p *Pusher) Nodes(ctx context.Context) ([]Node, error) {
	var answer struct {
		Nodes []Node `json:"nodes"`
	}
	if err := p.do(ctx, get("/api/v1/nodes"), &answer); err != nil {
		return nil, fmt.Errorf("asking for the nodes: %w", err)
	}
	return answer.Nodes, nil
}

// Drain makes a node let its devices go, at most rate a second; 0 = the node's
// default. Draining again changes the rate. The error is an [*APIError] with status 409
// if the node is lost or one in Java, and with 503 if it does not say that it drains.
func (p *Pusher) Drain(ctx context.Context, node string, rate int) error {
	var body []byte
	if rate != 0 {
		body = fmt.Appendf(nil, `{"rate":%d}`, rate)
	}
	var answer struct{}
	if err := p.do(ctx, call{http.MethodPost, "/api/v1/nodes/" + url.PathEscape(node) + "/drain", body, true, 0}, &answer); err != nil {
		return fmt.Errorf("draining node %q: %w", node, err)
	}
	return nil
}

func userPath(user string) string { return "/api/v1/users/" + url.PathEscape(user) }

func get(path string) call { return call{http.MethodGet, path, nil, true, 0} }
