// Package robot posts messages to a custom robot of DingTalk and tells what became of them.
package robot

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

const (
	defaultTimeout = 5 * time.Second
	mostAnswer     = 64 << 10 // bytes of an answer that are read; a good one has thirty
	mostText       = 200      // runes of it that a Result repeats
	hidden         = "[hidden]"
)

// Options describe a robot.
type Options struct {
	// Name is what the robot is called in metrics and logs.
	Name string
	// URL is the robot's address with its access_token.
	URL string
	// Secret signs requests, "" if the robot is not protected by signatures.
	Secret string
	// HTTP is copied and used without redirects; nil: one with a timeout of five seconds.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Robot is a custom robot. Its address and secret are not printed.
type Robot struct {
	name    string
	address url.URL
	query   url.Values
	secret  string
	http    *http.Client
	now     func() time.Time
	// skew is how far this machine's clock is ahead of DingTalk's, in nanoseconds; 0
	// until DingTalk refuses a time.
	skew atomic.Int64
}

// New checks the options. The error does not contain the address.
func New(o Options) (*Robot, error) {
	address, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil { // err repeats the address
		return nil, fmt.Errorf("robot %s: its url cannot be read", o.Name)
	}
	if address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("robot %s: its url must start with https:// and a host", o.Name)
	}
	query, err := url.ParseQuery(address.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("robot %s: the parameters of its url cannot be read", o.Name)
	}
	if query.Get("access_token") == "" {
		return nil, fmt.Errorf("robot %s: its url has no access_token", o.Name)
	}
	query.Del("timestamp") // of an address that was copied out of a log
	query.Del("sign")
	client := http.Client{Timeout: defaultTimeout}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Robot{name: o.Name, address: *address, query: query, secret: strings.TrimSpace(o.Secret), http: &client, now: o.Now}, nil
}

// Name is the robot's name.
func (r *Robot) Name() string { return r.name }

// Key identifies the robot across restarts and configurations: a hash of its token,
// which it does not reveal.
func (r *Robot) Key() string {
	sum := sha256.Sum256([]byte("robot\x00" + r.address.Host + "\x00" + r.query.Get("access_token")))
	return hex.EncodeToString(sum[:8])
}

// String implements fmt.Stringer without the address.
func (r *Robot) String() string { return "robot " + r.name }

// GoString implements fmt.GoStringer without the address.
func (r *Robot) GoString() string { return r.String() }

// LogValue implements slog.LogValuer without the address.
func (r *Robot) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Send posts a body, signed now. If DingTalk refuses the time of the signature and says
// what time it is, Send corrects its clock and posts once more.
func (r *Robot) Send(ctx context.Context, body []byte) Result {
	result, theirs := r.post(ctx, body)
	if !result.badTime || theirs.IsZero() || r.secret == "" {
		return r.finish(result)
	}
	skew := r.now().Sub(theirs)
	if off := skew - time.Duration(r.skew.Load()); off.Abs() < time.Minute {
		return r.finish(result) // not the clock, then
	}
	r.skew.Store(int64(skew))
	result, _ = r.post(ctx, body)
	return r.finish(result)
}

func (r *Robot) finish(result Result) Result {
	result.Skew = time.Duration(r.skew.Load())
	if result.Kind == RateLimited {
		result.Until = r.now().Add(result.ban)
	}
	return result
}

// post makes one attempt; theirs is DingTalk's time, zero if it did not say.
func (r *Robot) post(ctx context.Context, body []byte) (_ Result, theirs time.Time) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.signed(), bytes.NewReader(body))
	if err != nil { // err repeats the address
		return Result{Kind: Misconfigured, Code: CodeOther, Text: "the url of " + r.String() + " is not usable"}, theirs
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "fanfare-dingtalk")
	response, err := r.http.Do(request)
	if err != nil {
		return Result{Kind: Network, Code: CodeNetwork, Text: r.clean(networkText(err))}, theirs
	}
	defer response.Body.Close()
	theirs, _ = http.ParseTime(response.Header.Get("Date"))
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return Result{Kind: Network, Code: CodeNetwork, Status: response.StatusCode, Text: r.clean("reading the answer: " + networkText(err))}, theirs
	}
	result := classify(response.StatusCode, answer)
	result.Status = response.StatusCode
	result.Text = r.clean(result.Text)
	return result, theirs
}

// signed is the address to post to now.
func (r *Robot) signed() string {
	address, query := r.address, url.Values{}
	for name, values := range r.query {
		query[name] = values
	}
	if r.secret != "" {
		ms := r.now().Add(-time.Duration(r.skew.Load())).UnixMilli()
		query.Set("timestamp", strconv.FormatInt(ms, 10))
		query.Set("sign", Sign(ms, r.secret))
	}
	address.RawQuery = query.Encode()
	return address.String()
}

// Sign is the signature for a time in milliseconds since 1970, in base64; it is still to
// be escaped for a URL.
func Sign(ms int64, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d\n%s", ms, secret)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// networkText says what went wrong without the address, which url.Error repeats.
func networkText(err error) string {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "given up: the program is stopping"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return err.Error()
}

// inAddress finds what may be secret in an address within a text: user, password and query.
var inAddress = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#@"]*@)?([^\s?"<>]*)(\?[^\s"<>\]]*)?`)

// HideInAddresses replaces what may be secret in the addresses within a text, such as an
// error of the network that repeats one.
func HideInAddresses(text string) string {
	return inAddress.ReplaceAllStringFunc(text, func(found string) string {
		parts := inAddress.FindStringSubmatch(found)
		text := parts[1] + parts[3]
		if parts[4] != "" {
			text += "?" + hidden
		}
		return text
	})
}

// clean makes a text fit for a log: one line, not long, no secret in it.
func (r *Robot) clean(text string) string {
	text = HideInAddresses(text)
	token := r.query.Get("access_token")
	for _, secret := range []string{r.secret, token, url.QueryEscape(r.secret), url.QueryEscape(token)} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, hidden)
		}
	}
	var line strings.Builder
	n := 0
	for _, c := range strings.Join(strings.Fields(strings.ToValidUTF8(text, "�")), " ") {
		if n++; n > mostText {
			line.WriteString("…")
			break
		}
		if unicode.IsPrint(c) {
			line.WriteRune(c)
		}
	}
	return line.String()
}
