// Package console serves the web console of a Fanfare cluster: one page with
// which a person becomes a device, sends pushes, watches the numbers of the
// cluster and looks after its nodes and users.
//
// The page is plain HTML, CSS and ES modules embedded in the binary. It loads
// nothing from anywhere else and talks to the allocator's own HTTP API, so the
// handler holds no state and needs no options.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var embedded embed.FS

// page is the asset that /html and /index.html answer with.
const page = "index.html"

// policy is the Content-Security-Policy of every answer. Nothing but our own
// files runs; a push node is another origin, so WebSocket goes anywhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self' ws: wss:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// asset is a file ready to be sent.
type asset struct {
	body []byte
	kind string // Content-Type
	etag string
}

// contentTypes are fixed here because mime.TypeByExtension reads the machine's
// own tables, and a wrong type for a module stops the whole page.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Handler serves the page under /html and /index.html and its files under
// /console/. Anything else is 404, methods other than GET and HEAD are 405. Files
// carry an ETag and must be revalidated, so a new binary is a new console. It
// needs no credentials: the page holds no data, the API it calls asks for them.
func Handler() http.Handler {
	assets, err := load(embedded)
	if err != nil {
		panic(err) // the files are part of the binary; a test loads them
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[assetName(r.URL.Path)]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			a.serve(w, r)
		}
	})
}

// assetName maps a request path to the name of an asset, or to "" which is none.
func assetName(urlPath string) string {
	switch urlPath {
	case "/html", "/index.html":
		return page
	}
	name, ok := strings.CutPrefix(urlPath, "/console/")
	if !ok || name == page {
		return ""
	}
	return name
}

// load reads every embedded file and gives it a type and an entity tag.
func load(files fs.FS) (map[string]asset, error) {
	assets := make(map[string]asset)
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		kind, ok := contentTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("console: no content type for %s", name)
		}
		sum := sha256.Sum256(body)
		assets[strings.TrimPrefix(name, "assets/")] = asset{
			body: body, kind: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	return assets, err
}

// serve writes the headers that every asset has and the body, unless the browser
// has it already.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // an error means that the browser left
	}
}

// matches says whether an If-None-Match header names the tag, weakly compared.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}
