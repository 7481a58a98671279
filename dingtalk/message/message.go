// Package message turns alerts into the messages that people read: it decodes what
// Alertmanager posts, runs templates on it, and keeps every message within what
// DingTalk takes.
package message

import (
	"bytes"
	"encoding/json"
)

// MaxBody is the most bytes that an encoded message has. DingTalk takes 20,000.
const MaxBody = 19500

// Message is a markdown message for a robot.
type Message struct {
	// Title is what a phone shows in its notification; plain text.
	Title string
	// Text is markdown.
	Text string
	At   At
	// Truncated is how many alerts Text leaves out because there was no room.
	Truncated int
}

// At is whom a message calls, in the form of the robot API.
type At struct {
	Mobiles []string `json:"atMobiles,omitempty"`
	UserIDs []string `json:"atUserIds,omitempty"`
	All     bool     `json:"isAtAll"`
}

// Encode returns the JSON body to post.
func (m Message) Encode() []byte {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	var wire struct {
		Type     string `json:"msgtype"`
		Markdown struct {
			Title string `json:"title"`
			Text  string `json:"text"`
		} `json:"markdown"`
		At At `json:"at"`
	}
	wire.Type, wire.Markdown.Title, wire.Markdown.Text, wire.At = "markdown", m.Title, m.Text, m.At
	_ = e.Encode(wire) // strings and booleans: it cannot fail, nor can a buffer
	return bytes.TrimRight(body.Bytes(), "\n")
}

// Link is a link in a message. An address that is not http, https or dingtalk is not
// shown.
type Link struct{ Text, URL string }

// Mention is whom a target's messages call.
type Mention struct {
	All              bool
	Mobiles, UserIDs []string
	// Severities, if there are any, allow the call only for a message with a firing alert
	// of one of them.
	Severities []string
}
