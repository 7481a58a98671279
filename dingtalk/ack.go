package dingtalk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/config"
	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

// acks makes links that silence an alert, and follows them. Opening one only shows what
// it would do: programs that preview links open them, too.
type acks struct {
	key      []byte
	base     string // of the bridge, as browsers reach it
	silence  config.Silence
	language string
	client   *http.Client
	now      func() time.Time
}

func newAcks(c *config.Config, key []byte, client *http.Client, now func() time.Time) *acks {
	return &acks{key: key, base: c.Links.Bridge, silence: c.Silence, language: c.Language, client: client, now: now}
}

const keyFile = "ack.key"

// ownKey reads the key that signs links from the data directory, or makes it.
func ownKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(name)
	if err == nil {
		if key, err := hex.DecodeString(strings.TrimSpace(string(data))); err == nil && len(key) >= 16 {
			return key, nil
		}
		return nil, fmt.Errorf("%s is damaged; remove it for a new one (links sent so far stop working)", name)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the key of the acknowledge links: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key, writeKey(dir, name, hex.EncodeToString(key)+"\n")
}

// writeKey writes the file whole or not at all.
func writeKey(dir, name, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keeping the key of the acknowledge links: %w", err)
		}
	}()
	f, err := os.CreateTemp(dir, keyFile+".*") // for its owner only
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// request is what a link asks for.
type request struct {
	Labels  map[string]string `json:"l"` // the first, see [signed]
	Expires int64             `json:"e"` // unix seconds
}

// Names of a link's parameters.
const (
	paramData = "d"
	paramSign = "s"
)

// maxLink bounds the labels of a link, in bytes; longer ones get no link.
const maxLink = 2048

// links is for messages: the link that acknowledges an alert.
func (a *acks) links(alert message.Alert) []message.Link {
	// Without an alertname the labels would cover far more than the reader can see.
	if alert.Name() == "" || alert.Resolved() {
		return nil
	}
	data, err := json.Marshal(request{Labels: alert.Labels, Expires: a.now().Add(a.silence.LinkTTL).Unix()})
	if err != nil || len(data) > maxLink {
		return nil
	}
	d := base64.RawURLEncoding.EncodeToString(data)
	text := "认领并静默 " + span(a.silence.Duration)
	if a.language == message.English {
		text = "Acknowledge (silence " + span(a.silence.Duration) + ")"
	}
	return []message.Link{{Text: text, URL: a.base + "/ack?" + paramData + "=" + d + "&" + paramSign + "=" + a.sign(d)}}
}

// signed finds links in a text, also where a template has written the address into another
// one or into HTML. What comes before the signature is its first part.
var signed = regexp.MustCompile(`(eyJsIjp7[\w-]+(?:&|&amp;|\\u0026|%(?:25)*26)` + paramSign + `(?:=|%(?:25)*3[Dd]))[\w-]+`)

// unsigned is a text whose links cannot be used.
func unsigned(text string) string { return signed.ReplaceAllString(text, "${1}…") }

// span writes a duration without empty units: 1h, not 1h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func (a *acks) sign(data string) string {
	h := hmac.New(sha256.New, a.key)
	io.WriteString(h, "fanfare ack 1\n"+data)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

var (
	errForged  = errors.New("forged")
	errExpired = errors.New("expired")
)

// open reads a link's parameters.
func (a *acks) open(v url.Values) (request, error) {
	var q request
	d := v.Get(paramData)
	if !hmac.Equal([]byte(a.sign(d)), []byte(v.Get(paramSign))) {
		return q, errForged
	}
	data, err := base64.RawURLEncoding.DecodeString(d)
	if err != nil || json.Unmarshal(data, &q) != nil || len(q.Labels) == 0 {
		return q, errForged
	}
	if a.now().Unix() > q.Expires {
		return q, errExpired
	}
	return q, nil
}

// maxAnswer bounds what is read of Alertmanager's answer, in bytes.
const maxAnswer = 64 << 10

// matcher is Alertmanager's word for a label that must be equal.
type matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual bool   `json:"isEqual"`
}

// silenced asks Alertmanager for a silence of the alert and returns its id.
func (a *acks) silenced(ctx context.Context, q request, by string) (id string, err error) {
	now := a.now().UTC()
	wish := struct {
		Matchers  []matcher `json:"matchers"`
		StartsAt  time.Time `json:"startsAt"`
		EndsAt    time.Time `json:"endsAt"`
		CreatedBy string    `json:"createdBy"`
		Comment   string    `json:"comment"`
	}{StartsAt: now, EndsAt: now.Add(a.silence.Duration), CreatedBy: by, Comment: "acknowledged from DingTalk / 在钉钉中认领"}
	for _, p := range message.KV(q.Labels).SortedPairs() {
		wish.Matchers = append(wish.Matchers, matcher{Name: p.Name, Value: p.Value, IsEqual: true})
	}
	body, err := json.Marshal(wish)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.silence.Alertmanager+"/api/v2/silences", bytes.NewReader(body))
	if err != nil {
		return "", errors.New("silence.alertmanager is no address")
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the address, which may hold a password
			err = u.Err
		}
		return "", fmt.Errorf("reaching Alertmanager: %s", robot.HideInAddresses(err.Error()))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("reading Alertmanager's answer: %w", err)
	}
	var made struct {
		SilenceID string `json:"silenceID"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(data, &made) != nil || made.SilenceID == "" {
		why := strings.Join(strings.Fields(strings.ToValidUTF8(string(data[:min(len(data), 300)]), "")), " ")
		return "", fmt.Errorf("silencing: Alertmanager answered %s: %s", resp.Status, robot.HideInAddresses(why))
	}
	return made.SilenceID, nil
}
