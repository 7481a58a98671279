package message

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Input is what [Templates.Render] makes a message of.
type Input struct {
	Target  string
	Payload *Payload
	// Title and Text are templates instead of the default ones, "" for those.
	Title, Text string
	Mention     Mention
	// Actions returns links that do something about an alert (silence it, acknowledge it).
	// It is called for firing alerts only, and also with an alert that has nothing but the
	// labels common to several alerts of one name, and no fingerprint: its links then act
	// on all of them. nil: there are none.
	Actions func(Alert) []Link
}

// Render makes the message for one payload, never longer than [MaxBody]. The error is the
// template's; [Templates.Fallback] makes a message then.
func (t *Templates) Render(in Input) (Message, error) {
	if in.Payload == nil || len(in.Payload.Alerts) == 0 {
		return Message{}, errors.New("there is no alert to make a message of")
	}
	p, err := t.compile(in.Title, in.Text)
	if err != nil {
		return Message{}, err
	}
	d := t.data(in)
	r := rendering{Templates: t, pair: p, data: d, at: in.Mention.at(d.all), omitted: in.Payload.TruncatedAlerts}
	r.data.AtMobiles = r.at.Mobiles
	if r.title, err = r.makeTitle(); err != nil {
		return Message{}, err
	}
	return r.fit()
}

// rendering is one message in the making.
type rendering struct {
	*Templates
	pair    *pair
	data    data
	title   string
	at      At
	omitted int // alerts that Alertmanager left out
}

// makeTitle runs the template of the title, on fewer alerts if it makes too much of all.
func (r *rendering) makeTitle() (string, error) {
	var text string
	var err error
	for n := len(r.data.all); n > 0; n /= 4 {
		r.data.Alerts = r.data.all[:n]
		if text, err = execute(r.pair.title, &r.data); !errors.Is(err, errTooMuch) {
			break
		}
	}
	if err != nil && !errors.Is(err, errTooMuch) {
		return "", fmt.Errorf("running the template of the title: %w", err)
	}
	if text = oneLine(text, 2*mostTitle); text == "" {
		text = r.data.Headline()
	}
	return text, nil
}

// fit finds how many alerts there is room for.
func (r *rendering) fit() (Message, error) {
	all := len(r.data.all)
	m, err := r.try(all)
	if err == nil && m.fits() || err != nil && !errors.Is(err, errTooMuch) {
		return m, err
	}
	var failed error
	tooMany := 2 + sort.Search(all-2, func(i int) bool {
		m, err := r.try(2 + i)
		if err != nil && !errors.Is(err, errTooMuch) {
			failed = err
		}
		return err != nil || !m.fits()
	})
	if failed != nil {
		return Message{}, failed
	}
	shown := tooMany - 1
	m, err = r.try(shown)
	if err == nil && m.fits() || err != nil && (!errors.Is(err, errTooMuch) || m.Text == "") {
		return m, err
	}
	return m.cut(m.Text, r.at.call(r.more(all-shown))), nil // even a single one is too long
}

// try makes the message with the first n alerts. With errTooMuch it returns what there is.
func (r *rendering) try(n int) (Message, error) {
	r.data.Alerts = r.data.all[:n]
	left := len(r.data.all) - n
	text, err := execute(r.pair.text, &r.data)
	m := Message{Title: r.title, Text: text, At: r.at, Truncated: left}
	if err != nil {
		return m, fmt.Errorf("running the template of the text: %w", err)
	}
	if text == "" {
		return m, errors.New("running the template of the text: it writes nothing")
	}
	m.Text = r.at.call(text + r.more(left))
	return m, nil
}

// more is the line that says how many alerts are not shown, "" for none.
func (r *rendering) more(left int) string {
	if left += r.omitted; left <= 0 {
		return ""
	}
	line := "\n\n" + r.words.more(left)
	if all := r.allAlerts(); all != "" {
		line += " · " + all
	}
	return line
}

// allAlerts links to the page of Alertmanager that lists everything.
func (t *Templates) allAlerts() string {
	if t.options.Links.Alertmanager == "" {
		return ""
	}
	return link(t.words.pick("全部告警", "All alerts"), strings.TrimRight(t.options.Links.Alertmanager, "/")+"/#/alerts")
}
