package dingtalktest

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// body is the union of all message types.
type body struct {
	Type string `json:"msgtype"`
	Text struct {
		Content string `json:"content"`
	} `json:"text"`
	Markdown struct{ Title, Text string } `json:"markdown"`
	Link     struct {
		Title, Text string
		MessageURL  string `json:"messageUrl"`
	} `json:"link"`
	Card struct {
		Title, Text string
		SingleTitle string `json:"singleTitle"`
		SingleURL   string `json:"singleURL"`
		Buttons     []struct {
			Title     string `json:"title"`
			ActionURL string `json:"actionURL"`
		} `json:"btns"`
	} `json:"actionCard"`
	Feed struct {
		Links []struct {
			Title      string `json:"title"`
			MessageURL string `json:"messageURL"`
			PictureURL string `json:"picURL"`
		} `json:"links"`
	} `json:"feedCard"`
	At struct {
		Mobiles []string `json:"atMobiles"`
		UserIDs []string `json:"atUserIds"`
		All     bool     `json:"isAtAll"`
	} `json:"at"`
}

// parse reads a message; the verdict's code is 0 for a good one.
func parse(raw []byte) (Received, verdict) {
	var b body
	if !utf8.Valid(raw) || json.Unmarshal(raw, &b) != nil {
		return Received{}, verdict{40035, "不合法的参数: body is not json in utf-8"}
	}
	m := Received{Type: b.Type, Mobiles: b.At.Mobiles, UserIDs: b.At.UserIDs, All: b.At.All, Body: bytes.Clone(raw)}
	var missing string
	switch b.Type {
	case "text":
		m.Text = b.Text.Content
		missing = firstEmpty("content", m.Text)
	case "markdown":
		m.Title, m.Text = b.Markdown.Title, b.Markdown.Text
		missing = firstEmpty("title", m.Title, "text", m.Text)
	case "link":
		m.Title, m.Text = b.Link.Title, b.Link.Text
		missing = firstEmpty("title", m.Title, "text", m.Text, "messageUrl", b.Link.MessageURL)
	case "actionCard":
		m.Title, m.Text = b.Card.Title, b.Card.Text
		missing = b.missingOfCard()
	case "feedCard":
		missing = b.missingOfFeed()
	case "":
		missing = "msgtype"
	default:
		return Received{}, verdict{400105, "unsupported msgtype"}
	}
	if missing != "" {
		return Received{}, verdict{40035, "缺少参数 " + missing}
	}
	if b.Type == "text" || b.Type == "markdown" {
		for _, who := range append(append([]string(nil), m.Mobiles...), m.UserIDs...) {
			if strings.Contains(m.Text, "@"+who) {
				m.Notified = append(m.Notified, who)
			}
		}
	}
	return m, verdict{}
}

func (b body) missingOfCard() string {
	if missing := firstEmpty("title", b.Card.Title, "text", b.Card.Text); missing != "" {
		return missing
	}
	if len(b.Card.Buttons) == 0 {
		return firstEmpty("singleTitle", b.Card.SingleTitle, "singleURL", b.Card.SingleURL)
	}
	for _, button := range b.Card.Buttons {
		if missing := firstEmpty("title", button.Title, "actionURL", button.ActionURL); missing != "" {
			return missing
		}
	}
	return ""
}

func (b body) missingOfFeed() string {
	if len(b.Feed.Links) == 0 {
		return "links"
	}
	for _, link := range b.Feed.Links {
		if missing := firstEmpty("title", link.Title, "messageURL", link.MessageURL, "picURL", link.PictureURL); missing != "" {
			return missing
		}
	}
	return ""
}

// firstEmpty takes names and values in turn and returns the first name without a value.
func firstEmpty(pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.TrimSpace(pairs[i+1]) == "" {
			return pairs[i]
		}
	}
	return ""
}
