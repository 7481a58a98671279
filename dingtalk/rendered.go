package dingtalk

import (
	"bytes"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/renderer/html"
)

// phone shows messages about as DingTalk does. It may be used by several goroutines.
type phone struct{ markdown goldmark.Markdown }

// newPhone makes one that keeps line breaks, as DingTalk does.
func newPhone() *phone {
	return &phone{goldmark.New(goldmark.WithRendererOptions(html.WithHardWraps()))}
}

// rendered is a message's markdown as HTML, in which raw HTML and links that run something
// are left out.
func (ph *phone) rendered(text string) template.HTML {
	var out bytes.Buffer
	if err := ph.markdown.Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text))
	}
	return template.HTML(out.String())
}

// phoneMessage is a message on a page: the banner of the notification, and the text.
type phoneMessage struct {
	Title, Text string
	HTML        template.HTML
}

// Message is what the template "message" shows.
func (p page) Message(title, text string) phoneMessage {
	return phoneMessage{title, text, p.phone.rendered(text)}
}
