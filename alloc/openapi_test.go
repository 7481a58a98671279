package alloc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// spec loads docs/openapi.yaml once for all tests.
var spec = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.yaml")
	if err != nil {
		return nil, fmt.Errorf("loading the API description: %w", err)
	}
	doc.Servers = nil // tests listen on any port
	return doc, nil
})

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := spec()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// checked is a transport that holds requests and answers against the description:
// what is documented as wrong must not be accepted, and every answer must be one
// that is documented.
type checked struct {
	t    *testing.T
	next http.RoundTripper
}

func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	res, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.check(req, res); err != nil {
		c.t.Errorf("%s %s -> %d: %v", req.Method, req.URL.Path, res.StatusCode, err)
	}
	return res, nil
}

func (c checked) check(req *http.Request, res *http.Response) error {
	find, err := router()
	if err != nil {
		return err
	}
	route, params, err := find.FindRoute(req)
	if err != nil {
		return undocumented(res)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, Route: route, PathParams: params,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil && res.StatusCode < 400 {
		return fmt.Errorf("accepted although the description forbids it: %w", err)
	}
	return documented(req.Context(), in, res)
}

func documented(ctx context.Context, in *openapi3filter.RequestValidationInput, res *http.Response) error {
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "json") {
		body, err := drain(res)
		if err != nil {
			return err
		}
		return openapi3filter.ValidateResponse(ctx, out.SetBodyBytes(body))
	}
	out.Options.ExcludeResponseBody = true // a stream, a page or plain text
	answer := in.Route.Operation.Responses.Status(res.StatusCode)
	if answer != nil && len(answer.Value.Content) > 0 && answer.Value.Content.Get(media) == nil {
		return fmt.Errorf("content type %q is not documented", media)
	}
	return openapi3filter.ValidateResponse(ctx, out)
}

// undocumented checks the answer of a path or method that is not in the
// description: under /api/ it must be a problem.
func undocumented(res *http.Response) error {
	if !strings.HasPrefix(res.Request.URL.Path, "/api/") || res.Request.Method == http.MethodHead {
		return nil
	}
	body, err := drain(res)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("not a problem document: %w", err)
	}
	doc, err := spec()
	if err != nil {
		return err
	}
	return doc.Components.Schemas["Problem"].Value.VisitJSON(v)
}

// drain reads the body and puts it back.
func drain(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

func counter(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

func TestDescriptionIsValid(t *testing.T) {
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil { // examples against schemas too
		t.Error(err)
	}
}

func TestDescriptionAndRoutesAgree(t *testing.T) {
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	var documented, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	r := newRig(t, nil)
	for _, rt := range r.table() {
		routed = append(routed, rt.method+" "+strings.ReplaceAll(rt.path, "...", ""))
	}
	routed = append(routed, "GET /") // the answer to everything else
	slices.Sort(documented)
	slices.Sort(routed)
	same(t, "documented and routed calls", documented, routed)
}

// TestEveryAPICallSaysWhoMayCall keeps credentials from being forgotten: what is
// guarded documents 401 and 403, and the other way round.
func TestEveryAPICallSaysWhoMayCall(t *testing.T) {
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range newRig(t, nil).table() {
		op := doc.Paths.Map()[strings.ReplaceAll(rt.path, "...", "")].Operations()[rt.method]
		for _, status := range []int{401, 403, 429} {
			if has := op.Responses.Status(status) != nil; has != rt.guarded {
				t.Errorf("%s %s: guarded %v, documents %d %v", rt.method, rt.path, rt.guarded, status, has)
			}
		}
		if open := op.Security != nil && len(*op.Security) == 0; open == rt.guarded {
			t.Errorf("%s %s: guarded %v, documented as open %v", rt.method, rt.path, rt.guarded, open)
		}
	}
}
