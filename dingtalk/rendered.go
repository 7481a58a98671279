package dingtalk

import (
	"bytes"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/renderer/html"
)

// rendered shows a message about as DingTalk does: its markdown as HTML, in which raw HTML
// and links that run something are left out. Line breaks are kept, as in the phone.
func rendered(text string) template.HTML {
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithRendererOptions(html.WithHardWraps())).Convert([]byte(text), &out); err != nil {
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
func (page) Message(title, text string) phoneMessage {
	return phoneMessage{title, text, rendered(text)}
}
