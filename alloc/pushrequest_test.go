package alloc

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPushRefusesWhatItDoesNotUnderstand(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, func(o *Options) { o.MaxUsers = 3; o.MaxBody = 64 << 10 }, n)
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ body, code, field string }{
		{``, "invalid_json", ""},
		{`{`, "invalid_json", ""},
		{`[]`, "invalid_json", ""},
		{`null`, "invalid_json", ""},
		{`"x"`, "invalid_json", ""},
		{`{"user":"a","content":"x"} {}`, "invalid_json", ""},
		{`{"user":"a","content":"x",}`, "invalid_json", ""},
		{`{"user":"a" "content":"x"}`, "invalid_json", ""},
		{`{"users":["a",`, "invalid_json", ""},
		{"{\"user\":\"a\",\"content\":\"\xff\"}", "invalid_utf8", ""},
		{`{"user":"a","content":"x","colour":1}`, "unknown_field", "colour"},
		{`{"User":"a","content":"x"}`, "unknown_field", "User"},
		{`{"user":"a","user":"b","content":"x"}`, "repeated_field", "user"},
		{`{"user":5,"content":"x"}`, "invalid_type", "user"},
		{`{"user":null,"content":"x"}`, "invalid_type", "user"},
		{`{"user":{},"content":"x"}`, "invalid_type", "user"},
		{`{"users":"a","content":"x"}`, "invalid_type", "users"},
		{`{"users":["a",1],"content":"x"}`, "invalid_type", "users"},
		{`{"users":[["a"]],"content":"x"}`, "invalid_type", "users"},
		{`{"broadcast":"true","content":"x"}`, "invalid_type", "broadcast"},
		{`{"content":"x"}`, "target_missing", "user"},
		{`{"users":[],"content":"x"}`, "target_missing", "user"},
		{`{"broadcast":false,"content":"x"}`, "target_missing", "user"},
		{`{"user":"a","users":["b"],"content":"x"}`, "target_conflict", "user"},
		{`{"user":"a","users":[],"content":"x"}`, "target_conflict", "user"},
		{`{"user":"a","broadcast":true,"content":"x"}`, "target_conflict", "user"},
		{`{"users":["a"],"broadcast":true,"content":"x"}`, "target_conflict", "user"},
		{`{"users":["a","b","a"],"content":"x"}`, "repeated_user", "users"},
		{`{"users":["a","b","c","d"],"content":"x"}`, "too_many", "users"},
		{`{"users":["a",""],"content":"x"}`, "invalid_user", "users"},
		{`{"user":"","content":"x"}`, "invalid_user", "user"},
		{`{"user":" ","content":"x"}`, "invalid_user", "user"},
		{`{"user":"a\u0000","content":"x"}`, "invalid_user", "user"},
		{fmt.Sprintf(`{"user":"%s","content":"x"}`, long), "invalid_user", "user"},
		{`{"user":"a"}`, "content_missing", "content"},
		{`{"user":"a","content":""}`, "content_missing", "content"},
		{`{"user":"a","content_base64":""}`, "content_missing", "content_base64"},
		{`{"user":"a","content":"x","content_base64":"eA=="}`, "content_conflict", "content"},
		{`{"user":"a","content_base64":"eA"}`, "invalid_base64", "content_base64"},
		{`{"user":"a","content_base64":"eB=="}`, "invalid_base64", "content_base64"},
		{`{"user":"a","content_base64":"e\nA=="}`, "invalid_base64", "content_base64"},
		{`{"user":"a","content":"x","id":""}`, "invalid_id", "id"},
		{`{"user":"a","content":"x","id":"a b"}`, "invalid_id", "id"},
		{`{"user":"a","content":"x","id":"a/b"}`, "invalid_id", "id"},
		{`{"user":"a","content":"x","id":".."}`, "invalid_id", "id"},
		{fmt.Sprintf(`{"user":"a","content":"x","id":"%s"}`, long[:129]), "invalid_id", "id"},
		{`{"user":"a","content":"x","ack":"maybe"}`, "invalid_ack", "ack"},
		{`{"user":"a","content":"x","ack":""}`, "invalid_ack", "ack"},
		{`{"user":"a","content":"x","ttl":"1h"}`, "ttl_unsupported", "ttl"},
		{`{"user":"a","content":"x","ttl":60}`, "invalid_type", "ttl"},
		{`{"user":"a","content":"x","ttl":"-1h"}`, "invalid_duration", "ttl"},
		{`{"user":"a","content":"x","wait":"soon"}`, "invalid_duration", "wait"},
		{`{"user":"a","content":"x","wait":"31s"}`, "wait_too_long", "wait"},
		{`{"user":"a","content":"x","tags":[""]}`, "invalid_tag", "tags"},
		{fmt.Sprintf(`{"user":"a","content":"x","tags":["%s"]}`, long), "invalid_tag", "tags"},
		{`{"user":"a","content":"x","tags":["` + strings.Repeat(`t","`, maxTags) + `t"]}`, "too_many", "tags"},
		{`{"user":"a","content":"x","client_types":["tv"]}`, "invalid_client_type", "client_types"},
		{`{"user":"a","content":"x","client_types":["pc","pc","pc","pc","pc"]}`, "too_many", "client_types"},
		{`{"user":"a","content":"x","rate":1}`, "broadcast_only", "rate"},
		{`{"users":["a"],"content":"x","rate":0}`, "broadcast_only", "rate"},
		{`{"user":"a","content":"x","task":"t"}`, "broadcast_only", "task"},
		{`{"broadcast":true,"content":"x","rate":-1}`, "out_of_range", "rate"},
		{`{"broadcast":true,"content":"x","rate":1000001}`, "out_of_range", "rate"},
		{`{"broadcast":true,"content":"x","rate":0.5}`, "out_of_range", "rate"},
		{`{"broadcast":true,"content":"x","rate":"10"}`, "invalid_type", "rate"},
		{`{"broadcast":true,"content":"x","rate":null}`, "invalid_type", "rate"},
		{`{"broadcast":true,"content":"x","task":""}`, "invalid_task", "task"},
		{`{"broadcast":true,"content":"x","task":"a\n"}`, "invalid_task", "task"},
		{`{"broadcast":true,"content":"x","task":7}`, "invalid_type", "task"},
		{fmt.Sprintf(`{"broadcast":true,"content":"x","task":"%s"}`, long[:129]), "invalid_task", "task"},
		{`{"user":"a","content":"x","condition":"true"}`, "condition_unsupported", "condition"},
	} {
		t.Run(c.body[:min(len(c.body), 60)], func(t *testing.T) {
			r.refused(r.do("POST", "/api/v1/push", c.body), http.StatusBadRequest, c.code, c.field)
		})
	}
	n.none(t)
	if books := r.ledger.Books(); books.Accepted != 0 {
		t.Errorf("books %+v", books)
	}
}

func TestPushTakesTheBoundsThemselves(t *testing.T) {
	n := newNode("n1")
	r := newRig(t, func(o *Options) { o.MaxUsers = 3 }, n)
	r.push(fmt.Sprintf(`{"users":["a","b","c"],"content":"x","id":"%s","wait":"30s"}`, strings.Repeat("x", maxID)), 200)
	r.push(fmt.Sprintf(`{"user":"%s","content":"x"}`, strings.Repeat("u", maxUser)), 202)
	r.push(fmt.Sprintf(`{"user":"用户","content":"x","ttl":0,"wait":0,"condition":"","tags":["%s"]}`, strings.Repeat("t", maxTag)), 202)
	r.push(fmt.Sprintf(`{"broadcast":true,"content":"x","rate":%d,"task":"%s"}`, maxPushRate, strings.Repeat("t", maxTask)), 202)
	r.push(`{"broadcast":true,"content":"x","rate":0}`, 202)
}

// TestDigestTellsMessagesApart moves text between fields: without lengths some of
// these would be the same bytes.
func TestDigestTellsMessagesApart(t *testing.T) {
	seen := make(map[[32]byte]int)
	for i, r := range []pushRequest{
		{user: "ab", content: []byte("c")},
		{user: "a", content: []byte("bc")},
		{users: []string{"ab"}, content: []byte("c")},
		{users: []string{"a", "b"}, content: []byte("c")},
		{broadcast: true, content: []byte("c")},
		{broadcast: true, content: []byte("c"), rate: 1},
		{broadcast: true, content: []byte("c"), task: "1"},
		{user: "ab", content: []byte("c"), tags: []string{"x", "y"}},
		{user: "ab", content: []byte("c"), tags: []string{"xy"}},
		{user: "ab", content: []byte("c"), condition: "x"},
		{user: "ab", content: []byte("c"), tags: []string{"x"}},
	} {
		if j, known := seen[r.digest()]; known {
			t.Errorf("requests %d and %d have the same digest", i, j)
		}
		seen[r.digest()] = i
	}
}

// TestDecodeNeverPanics feeds bytes that look like requests.
func TestDecodeNeverPanics(t *testing.T) {
	a := &Allocator{options: Options{MaxUsers: 3}}
	pieces := rapid.SampledFrom([]string{
		`{`, `}`, `[`, `]`, `:`, `,`, `"user"`, `"users"`, `"content"`, `"wait"`, `"tags"`, `"a"`, `"3s"`, `1`, `-1e9`, `true`, `null`, `\`, "\xff", ` `,
	})
	rapid.Check(t, func(rt *rapid.T) {
		body := strings.Join(rapid.SliceOfN(pieces, 0, 20).Draw(rt, "pieces"), "")
		req, err := a.parsePush([]byte(body))
		if (req == nil) == (err == nil) {
			rt.Fatalf("request %v, error %v", req, err)
		}
	})
}
