package dingtalk

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

//go:embed pages/*.html
var pageFiles embed.FS

// page is what every page knows.
type page struct {
	Lang    string
	Title   string
	Version string
	zone    *time.Location
	phone   *phone
	Data    any
}

// T picks the text of the page's language.
func (p page) T(zh, en string) string {
	if p.Lang == message.English {
		return en
	}
	return zh
}

// Time writes a time for people, "-" for none.
func (p page) Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(p.zone).Format("2006-01-02 15:04:05")
}

// parsePages parses the pages, which are part of the program.
func parsePages() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/*.html"))
}

// language is what the reader asked for, or prefers, or the configuration says.
func (b *Bridge) language(r *http.Request) string {
	for _, wish := range []string{r.URL.Query().Get("lang"), r.Header.Get("Accept-Language")} {
		switch wish = strings.ToLower(wish); {
		case strings.HasPrefix(wish, message.Chinese):
			return message.Chinese
		case strings.HasPrefix(wish, message.English):
			return message.English
		}
	}
	return b.setup.Load().config.Language
}

// page answers with a page.
func (b *Bridge) page(w http.ResponseWriter, r *http.Request, status int, name string, zh, en string, data any) {
	p := page{Lang: b.language(r), Version: b.options.Version, zone: b.setup.Load().config.Location, phone: b.phone, Data: data}
	p.Title = p.T(zh, en)
	var out bytes.Buffer
	if err := b.pages.ExecuteTemplate(&out, name, p); err != nil {
		b.options.Logger.Error("a page cannot be made", "page", name, "err", err)
		answer(w, http.StatusInternalServerError, "the page cannot be made")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the reader has gone
}

func (b *Bridge) landing(w http.ResponseWriter, r *http.Request) {
	b.page(w, r, http.StatusOK, "landing.html", "Fanfare 钉钉告警桥", "Fanfare DingTalk bridge", map[string]any{"UI": b.options.EnableUI})
}
