package alloc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// demoStarted is what MPush's allocator answers to a push of its demo.
const demoStarted = "服务已经开始推送,请注意查收消息"

// serveServers lists the nodes that devices can connect to, the least loaded for its
// weight first, those in Java too. It answers any method and path that nothing else answers, as in MPush.
func (a *Allocator) serveServers(w http.ResponseWriter, _ *http.Request) error {
	offers, ok := a.offers()
	if !ok {
		return unknownMembership()
	}
	slices.SortFunc(offers, byLoad)
	addresses := []string{}
	for _, o := range offers {
		if o.info.State == cluster.Serving && o.info.Device != "" {
			addresses = append(addresses, o.info.Device)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeText(w, http.StatusOK, strings.Join(addresses, ","))
}

// demoRequest is the body of MPush's demo push; fields that it does not have are
// ignored, as they are there.
type demoRequest struct {
	UserID    string `json:"userId"`
	Hello     string `json:"hello"`
	Broadcast bool   `json:"broadcast"`
	Condition string `json:"condition"`
}

// serveDemoPush takes the demo push and answers before anything is known of its
// outcome, as MPush does. Where MPush closes the connection without an answer, this
// is a problem.
func (a *Allocator) serveDemoPush(w http.ResponseWriter, r *http.Request) error {
	received := a.options.Now()
	var demo demoRequest
	err := a.limits.read(w, r, func(body []byte) error {
		return decodeDemo(body, &demo)
	})
	if err != nil {
		return err
	}
	req, err := a.demoPush(demo)
	if err != nil {
		return err
	}
	if _, _, err := a.accept(req, received); err != nil {
		return err
	}
	return writeText(w, http.StatusOK, demoStarted)
}

func decodeDemo(body []byte, demo *demoRequest) error {
	err := json.Unmarshal(body, demo)
	if mismatch := new(json.UnmarshalTypeError); errors.As(err, &mismatch) {
		return invalid(mismatch.Field, "invalid_type", "%q cannot be a JSON %s", mismatch.Field, mismatch.Value)
	}
	if err != nil {
		return syntaxError(err)
	}
	return nil
}

func (a *Allocator) demoPush(demo demoRequest) (*pushRequest, error) {
	req := &pushRequest{id: ulid.Make().String(), user: demo.UserID, broadcast: demo.Broadcast}
	if !demo.Broadcast { // which wins over a user in MPush
		if strings.TrimSpace(demo.UserID) == "" {
			return nil, invalid("userId", "target_missing", `"userId" or "broadcast" must say whom to push to`)
		}
		if err := checkUser("userId", demo.UserID); err != nil {
			return nil, err
		}
	}
	if err := a.compile(req, demo.Condition); err != nil {
		return nil, err
	}
	content, err := demoContent(demo.Hello, a.demo.Add(1))
	req.content = content
	return req, err
}

// demoContent is the n-th payload of the demo: a notification as JSON text inside
// a message of type 3. Members are in MPush's order, which some clients show.
func demoContent(hello string, n int64) ([]byte, error) {
	notification, err := plainJSON(struct {
		Content string `json:"content"`
		NID     int64  `json:"nid"`
		Ticker  string `json:"ticker"`
		Title   string `json:"title"`
	}{"MPush开源推送，" + hello, 2 - n%2, "你有一条新的消息,请注意查收", "MPUSH推送"})
	if err != nil {
		return nil, err
	}
	return plainJSON(struct {
		Content string `json:"content"`
		ID      string `json:"msgId"`
		Type    int    `json:"msgType"`
	}{string(notification), fmt.Sprintf("msg_%d", n), 3})
}

// plainJSON leaves <, > and & as they are, as MPush does.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the demo message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// serveHealthy says that the process answers.
func (a *Allocator) serveHealthy(w http.ResponseWriter, _ *http.Request) error {
	return writeText(w, http.StatusOK, "ok\n")
}

// serveReady says whether the process should get traffic.
func (a *Allocator) serveReady(w http.ResponseWriter, _ *http.Request) error {
	if err := a.ready(); err != nil {
		return writeText(w, http.StatusServiceUnavailable, "not ready: "+strings.ReplaceAll(err.Error(), "\n", "; ")+"\n")
	}
	return writeText(w, http.StatusOK, "ready\n")
}

// ready says why the process should get no traffic.
func (a *Allocator) ready() error {
	if a.options.Ready != nil {
		if err := a.options.Ready(); err != nil {
			return err
		}
	}
	if _, ok := a.options.Router.Members().List(); !ok {
		return errors.New("the nodes of the cluster are not known yet")
	}
	return nil
}

func writeText(w http.ResponseWriter, status int, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the peer may be gone
	return nil
}
