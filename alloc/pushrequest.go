package alloc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// Bounds of the fields of a request, in bytes and entries.
const (
	maxID        = 128
	maxUser      = 256
	maxTags      = 64
	maxTag       = 128
	maxCondition = 1024
	maxTask      = 128
	maxPushRate  = 1_000_000 // connections per second and node
)

// pushRequest is a push as the caller asked for it. Exactly one of user, users
// and broadcast is set.
type pushRequest struct {
	id          string // never empty
	user        string
	users       []string
	broadcast   bool
	content     []byte
	ack         protocol.AckMode
	tags        []string
	condition   string
	filter      cluster.Condition // condition, compiled
	clientTypes []protocol.ClientType
	rate        int    // of a broadcast; 0 = the nodes' default
	task        string // of a broadcast
	wait        time.Duration
}

// pushBody is the body of a request before it was checked.
type pushBody struct {
	id, user, content, base64, ack, condition, task string
	users, tags, clientTypes                        []string
	broadcast                                       bool
	rate                                            int
	ttl, wait                                       time.Duration
}

// parsePush reads and checks the body of POST /api/v1/push. The id stays empty if
// there is none.
func (a *Allocator) parsePush(body []byte) (*pushRequest, error) {
	var b pushBody
	seen, err := decodeObject(body, map[string]value{
		"id":             text(&b.id),
		"user":           text(&b.user),
		"users":          texts(&b.users, a.options.MaxUsers, checkUser),
		"broadcast":      boolean(&b.broadcast),
		"content":        text(&b.content),
		"content_base64": text(&b.base64),
		"ack":            text(&b.ack),
		"ttl":            duration(&b.ttl),
		"tags":           texts(&b.tags, maxTags, checkTag),
		"condition":      text(&b.condition),
		"client_types":   texts(&b.clientTypes, len(protocol.ClientTypes()), anyText),
		"rate":           integer(&b.rate, maxPushRate),
		"task":           text(&b.task),
		"wait":           duration(&b.wait),
	})
	if err != nil {
		return nil, err
	}
	r := &pushRequest{
		id: b.id, user: b.user, users: b.users, broadcast: b.broadcast, tags: b.tags, rate: b.rate, task: b.task, wait: b.wait,
	}
	for _, check := range []func() error{
		func() error { return checkID(b.id, seen["id"]) },
		func() error { return r.checkTarget(seen) },
		func() error { return r.checkPace(seen) },
		func() error { return r.readContent(&b, seen) },
		func() error { return r.readAck(b.ack, seen["ack"]) },
		func() error { return r.readClientTypes(b.clientTypes) },
		func() error { return a.checkTimes(&b) },
		func() error { return a.compile(r, b.condition) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// checkID accepts what can stand in a path, a log line and a header as it is.
func checkID(id string, given bool) error {
	if !given {
		return nil
	}
	ok := id != "" && len(id) <= maxID && id[0] != '.'
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("._:@+=~-", c) >= 0
	}
	if !ok {
		return invalid("id", "invalid_id", `"id" must be 1 to %d letters, digits or any of "._:@+=~-" and must not begin with a dot`, maxID)
	}
	return nil
}

func checkUser(field, user string) error {
	if strings.TrimSpace(user) == "" || len(user) > maxUser || strings.ContainsFunc(user, unicode.IsControl) {
		return invalid(field, "invalid_user", "a user is 1 to %d bytes, not blank and without control characters", maxUser)
	}
	return nil
}

func checkTag(field, tag string) error {
	if tag == "" || len(tag) > maxTag || strings.ContainsFunc(tag, unicode.IsControl) {
		return invalid(field, "invalid_tag", "a tag is 1 to %d bytes without control characters", maxTag)
	}
	return nil
}

func anyText(string, string) error { return nil }

// checkTarget wants one kind of target. A user named twice would get the message
// twice, which nobody means.
func (r *pushRequest) checkTarget(seen map[string]bool) error {
	targets := 0
	for _, given := range []bool{seen["user"], seen["users"], r.broadcast} {
		if given {
			targets++
		}
	}
	switch {
	case targets > 1:
		return invalid("user", "target_conflict", `only one of "user", "users" and "broadcast" can be given`)
	case r.broadcast:
		return nil
	case seen["user"]:
		return checkUser("user", r.user)
	case len(r.users) == 0:
		return invalid("user", "target_missing", `one of "user", "users" and "broadcast" must say whom to push to`)
	}
	known := make(map[string]struct{}, len(r.users))
	for i, user := range r.users {
		if known[user] = struct{}{}; len(known) != i+1 {
			return invalid("users", "repeated_user", "entry %d of the list was there before", i+1)
		}
	}
	return nil
}

// checkPace wants what steers a broadcast with broadcasts only.
func (r *pushRequest) checkPace(seen map[string]bool) error {
	for _, field := range []string{"rate", "task"} {
		if seen[field] && !r.broadcast {
			return invalid(field, "broadcast_only", `%q can only be given with "broadcast": true`, field)
		}
	}
	if seen["task"] && (r.task == "" || len(r.task) > maxTask || strings.ContainsFunc(r.task, unicode.IsControl)) {
		return invalid("task", "invalid_task", `"task" must be 1 to %d bytes without control characters`, maxTask)
	}
	return nil
}

func (r *pushRequest) readContent(b *pushBody, seen map[string]bool) error {
	field := "content"
	r.content = []byte(b.content)
	switch {
	case seen["content"] && seen["content_base64"]:
		return invalid(field, "content_conflict", `only one of "content" and "content_base64" can be given`)
	case seen["content_base64"]:
		field = "content_base64"
		content, err := base64.StdEncoding.Strict().DecodeString(b.base64)
		if err != nil || strings.ContainsAny(b.base64, "\r\n") {
			return invalid(field, "invalid_base64", `%q must be base64 with padding and without line breaks`, field)
		}
		r.content = content
	}
	if len(r.content) == 0 {
		return invalid(field, "content_missing", "a push needs content that is not empty")
	}
	return nil
}

func (r *pushRequest) readAck(name string, given bool) error {
	if !given {
		return nil
	}
	if err := r.ack.UnmarshalText([]byte(name)); err != nil {
		return invalid("ack", "invalid_ack", `"ack" must be none, auto or biz`)
	}
	return nil
}

func (r *pushRequest) readClientTypes(names []string) error {
	for _, name := range names {
		t, err := parseClientType("client_types", name)
		if err != nil {
			return err
		}
		r.clientTypes = append(r.clientTypes, t)
	}
	return nil
}

func parseClientType(field, name string) (t protocol.ClientType, err error) {
	if t.UnmarshalText([]byte(name)) != nil {
		return t, invalid(field, "invalid_client_type", "a client type is mobile, pc, web or unknown")
	}
	return t, nil
}

func (a *Allocator) checkTimes(b *pushBody) error {
	if b.ttl > 0 {
		return invalid("ttl", "ttl_unsupported", `messages are not stored: "ttl" can only be 0`)
	}
	if b.wait > a.options.MaxWait {
		return invalid("wait", "wait_too_long", `"wait" can be at most %v`, a.options.MaxWait)
	}
	return nil
}

func (a *Allocator) compile(r *pushRequest, condition string) error {
	if condition == "" {
		return nil
	}
	if a.options.Compile == nil {
		return invalid("condition", "condition_unsupported", "conditions are not enabled here")
	}
	if len(condition) > maxCondition {
		return invalid("condition", "invalid_condition", `"condition" can have at most %d bytes`, maxCondition)
	}
	filter, err := a.options.Compile(condition)
	if err != nil {
		return invalid("condition", "invalid_condition", "%v", err)
	}
	r.condition, r.filter = condition, filter
	return nil
}

// digest is over everything that makes the message what it is: two requests with
// the same id must agree in it. The order of users, tags and types is no part of
// that, and how long the caller waits is not either.
func (r *pushRequest) digest() [sha256.Size]byte {
	h := sha256.New()
	types := make([]string, len(r.clientTypes))
	for i, t := range r.clientTypes {
		types[i] = t.String()
	}
	target := []string{"user", r.user}
	if r.broadcast {
		target = []string{"broadcast"}
	} else if r.users != nil {
		target = append([]string{"users"}, sorted(r.users)...)
	}
	for _, list := range [][]string{target, {r.ack.String(), r.condition, r.task, strconv.Itoa(r.rate)}, sorted(r.tags), sorted(types)} {
		number(h, len(list))
		for _, s := range list {
			number(h, len(s))
			_, _ = io.WriteString(h, s) // a hash takes everything
		}
	}
	_, _ = h.Write(r.content)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// number keeps neighbours apart: without lengths "ab","c" would be "a","bc".
func number(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	_, _ = h.Write(b[:])
}

func sorted(list []string) []string {
	return slices.Sorted(slices.Values(list))
}

// targets is how many ends the message will have.
func (r *pushRequest) targets() int {
	if r.users != nil {
		return len(r.users)
	}
	return 1
}

// push is the message as the nodes get it.
func (r *pushRequest) push(accepted time.Time) *cluster.Push {
	return &cluster.Push{
		ID: r.id, Content: r.content, Ack: r.ack, ClientTypes: r.clientTypes, Tags: r.tags,
		Condition: r.filter, Rate: r.rate, Task: r.task, Accepted: accepted,
	}
}

// readPush reads the body of a push.
func (a *Allocator) readPush(w http.ResponseWriter, r *http.Request) (req *pushRequest, err error) {
	err = a.limits.read(w, r, func(body []byte) error {
		req, err = a.parsePush(body)
		return err
	})
	return req, err
}
