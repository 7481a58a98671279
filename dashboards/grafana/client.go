// Package grafana uploads dashboards to a Grafana through its HTTP API, from release 9.4
// on. It leans on the client of grafana-tools/sdk and does itself what that one cannot:
// it checks every status code, and says where a dashboard goes by the uid of a folder.
package grafana

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grafana-tools/sdk"
)

// Options say which Grafana, and as whom.
type Options struct {
	URL string // of Grafana, with the sub-path if it is served under one
	// Token is a service account's token, or "user:password". Empty: anonymous.
	Token string
	// Timeout bounds each request. 0: 30 s.
	Timeout time.Duration
	// Transport makes the requests. Nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Client talks to one Grafana.
type Client struct {
	base *url.URL
	http *http.Client
	sdk  *sdk.Client
}

// New makes a client; it asks nothing yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a Grafana; it looks like https://grafana.example.org", o.URL)
	}
	if base.User != nil {
		return nil, errors.New("the URL of Grafana must not hold a password; give it as a token, user:password")
	}
	base.RawQuery, base.Fragment = "", ""
	base.Path = strings.TrimSuffix(base.Path, "/")
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	c := &Client{base: base, http: &http.Client{
		Transport: &checked{base: o.Transport, authorization: authorization(o.Token)}, Timeout: o.Timeout,
		// A redirect would turn an upload into a question, and may lead to a login page.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	// The token goes through our transport: the SDK would put a password into the URL.
	if c.sdk, err = sdk.NewClient(base.String(), "", c.http); err != nil {
		return nil, fmt.Errorf("making a client for Grafana: %w", err)
	}
	return c, nil
}

// authorization is the header for a token.
func authorization(token string) string {
	switch {
	case token == "":
		return ""
	case strings.Contains(token, ":"):
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(token))
	}
	return "Bearer " + token
}

// URL is where the Grafana is.
func (c *Client) URL() string { return c.base.String() }

// Version asks which release the Grafana is. An error says that there is no Grafana.
func (c *Client) Version(ctx context.Context) (version string, err error) {
	err = c.guard("asking which Grafana it is", func() error {
		health, err := c.sdk.GetHealth(ctx)
		version = health.Version
		if err == nil && health.Database == "" && version == "" {
			return errors.New("something answers there that is not Grafana")
		}
		return err
	})
	return version, err
}

// Source is a data source of the Grafana.
type Source struct {
	UID, Name string
	Default   bool
}

// Sources lists its data sources of the type prometheus.
func (c *Client) Sources(ctx context.Context) (sources []Source, err error) {
	err = c.guard("listing data sources", func() error {
		all, err := c.sdk.GetAllDatasources(ctx)
		for _, s := range all {
			if s.Type == "prometheus" {
				sources = append(sources, Source{s.UID, s.Name, s.IsDefault})
			}
		}
		return err
	})
	return sources, err
}

// Folder finds a folder by its uid or title, and creates it if there is none.
func (c *Client) Folder(ctx context.Context, name string) (uid string, created bool, err error) {
	err = c.guard(fmt.Sprintf("finding the folder %q", name), func() error {
		folders, err := c.sdk.GetAllFolders(ctx)
		if err != nil {
			return err
		}
		uid, err = pick(folders, name)
		return err
	})
	if err != nil || uid != "" {
		return uid, false, err
	}
	err = c.guard(fmt.Sprintf("creating the folder %q", name), func() error {
		f, err := c.sdk.CreateFolder(ctx, sdk.Folder{Title: name})
		uid = f.UID
		if err == nil && uid == "" {
			return errors.New("the answer does not say its uid")
		}
		return err
	})
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusConflict || refused.Status == http.StatusPreconditionFailed) {
		err = fmt.Errorf("%w; a folder of that name is there and the token may not see it: give the token access, or name another folder", err)
	}
	return uid, err == nil, err
}

// pick finds the one folder with a uid or a title.
func pick(folders []sdk.Folder, name string) (uid string, err error) {
	for _, f := range folders {
		if f.UID == name {
			return f.UID, nil
		}
	}
	for _, f := range folders {
		if f.Title != name {
			continue
		}
		if uid != "" {
			return "", fmt.Errorf("several folders have that title; name one by its uid, %s or %s", uid, f.UID)
		}
		uid = f.UID
	}
	return uid, nil
}

// answer is what Grafana says of an upload.
type answer struct {
	UID     string `json:"uid"`
	URL     string `json:"url"`
	Status  string `json:"status"`
	Version int    `json:"version"`
}

// Upload puts a dashboard into a folder and returns its address. One that is there
// already under the same uid is replaced; Grafana keeps its versions.
func (c *Client) Upload(ctx context.Context, uid string, dashboard []byte, folderUID, message string) (address string, err error) {
	known, err := c.known(ctx, uid)
	if err != nil {
		return "", err
	}
	// The SDK names a folder by a number only, which Grafana has given up.
	body, err := json.Marshal(map[string]any{
		"dashboard": json.RawMessage(dashboard), "folderUid": folderUID, "message": message,
		// Only over ourselves: Grafana would also replace a stranger with the same title.
		"overwrite": known,
	})
	if err != nil {
		return "", fmt.Errorf("dashboard %s: %w", uid, err)
	}
	var a answer
	err = c.guard("uploading "+uid, func() error { return c.post(ctx, "/api/dashboards/db", body, &a) })
	var refused *Error
	switch {
	case errors.As(err, &refused) && strings.Contains(strings.ToLower(refused.Message), "provisioned"):
		return "", fmt.Errorf("%w; it comes from files of that Grafana's provisioning and can be changed there only", err)
	case err != nil:
		return "", err
	case a.UID != uid:
		return "", fmt.Errorf("uploading %s: Grafana kept it under the uid %q, and links to it will not work; look for another dashboard with its title", uid, a.UID)
	}
	return c.base.Scheme + "://" + c.base.Host + a.URL, c.verify(ctx, uid, dashboard)
}

// known reports whether there is a dashboard with a uid.
func (c *Client) known(ctx context.Context, uid string) (known bool, err error) {
	err = c.guard("looking for "+uid, func() error {
		_, _, err := c.sdk.GetRawDashboardByUID(ctx, uid)
		var refused *Error
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound && !refused.Page {
			return nil
		}
		known = err == nil
		return err
	})
	return known, err
}

// verify reads a dashboard back and compares how many panels it has.
func (c *Client) verify(ctx context.Context, uid string, sent []byte) error {
	return c.guard("reading back "+uid, func() error {
		raw, _, err := c.sdk.GetRawDashboardByUID(ctx, uid)
		if err != nil {
			return err
		}
		var got, want struct {
			Panels []json.RawMessage `json:"panels"`
		}
		if err := errors.Join(json.Unmarshal(raw, &got), json.Unmarshal(sent, &want)); err != nil {
			return err
		}
		if len(got.Panels) != len(want.Panels) {
			return fmt.Errorf("only %d of its %d panels were kept", len(got.Panels), len(want.Panels))
		}
		return nil
	})
}

// post sends JSON and decodes the answer.
func (c *Client) post(ctx context.Context, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// guard calls the SDK, which panics on some answers, and says what was being done.
func (c *Client) guard(doing string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: Grafana's answer could not be understood (%v)", doing, r)
		}
	}()
	err = call()
	var refused *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused): // without the method and URL that net/http puts before it
		return fmt.Errorf("%s: %w", doing, refused)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
