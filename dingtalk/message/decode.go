package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DecodeError says why a body is not a payload: a sentence without the body's content,
// which can be answered to the sender.
type DecodeError struct{ Reason string }

// Error implements error.
func (e *DecodeError) Error() string { return e.Reason }

// Decode reads a payload. Unknown fields are ignored and missing ones allowed; the error
// is always a [*DecodeError]: the body is not JSON, or names no alert. How long a body may
// be is the caller's to decide.
func Decode(body []byte) (*Payload, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, &DecodeError{Reason: "the body is empty"}
	}
	var wire wirePayload
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, &DecodeError{Reason: "the body is not a webhook of Alertmanager: " + jsonText(err)}
	}
	p := wire.payload()
	if len(p.Alerts) == 0 {
		return nil, &DecodeError{Reason: "the body is not a webhook of Alertmanager: it has no alerts"}
	}
	return p, nil
}

// wirePayload and wireAlert read what a program other than Alertmanager might write.
type wirePayload struct {
	Payload
	Alerts []wireAlert `json:"alerts"`
}

type wireAlert struct {
	Alert
	StartsAt lenientTime `json:"startsAt"`
	EndsAt   lenientTime `json:"endsAt"`
}

// payload fills in what is missing.
func (w *wirePayload) payload() *Payload {
	p := &w.Payload
	p.TruncatedAlerts = max(p.TruncatedAlerts, 0)
	p.GroupLabels, p.CommonLabels, p.CommonAnnotations = p.GroupLabels.made(), p.CommonLabels.made(), p.CommonAnnotations.made()
	p.Alerts = make(Alerts, len(w.Alerts))
	firing := false
	for i := range w.Alerts {
		a := w.Alerts[i].Alert
		a.StartsAt, a.EndsAt = time.Time(w.Alerts[i].StartsAt), time.Time(w.Alerts[i].EndsAt)
		a.Labels, a.Annotations = a.Labels.made(), a.Annotations.made()
		if a.Status = strings.ToLower(a.Status); a.Status != StatusFiring && a.Status != StatusResolved {
			a.Status = StatusFiring
			if !a.EndsAt.IsZero() {
				a.Status = StatusResolved
			}
		}
		firing = firing || a.Status == StatusFiring
		p.Alerts[i] = a
	}
	if p.Status = StatusResolved; firing {
		p.Status = StatusFiring
	}
	return p
}

func (kv KV) made() KV {
	if kv == nil {
		return KV{}
	}
	return kv
}

// UnmarshalJSON takes numbers and truth values for texts, and null for nothing.
func (kv *KV) UnmarshalJSON(data []byte) error {
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err == nil {
		*kv = texts
		return nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return errors.New("labels and annotations must be objects")
	}
	*kv = make(KV, len(values))
	for name, value := range values {
		var text string
		switch value[0] {
		case '{', '[':
			return errors.New("the values of labels and annotations must be texts")
		case '"':
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
		case 'n': // null
		default:
			text = string(value)
		}
		(*kv)[name] = text
	}
	return nil
}

// lenientTime is zero for what is not a time: an alert is worth more than its hour.
type lenientTime time.Time

func (t *lenientTime) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err == nil && at.Year() > 1 {
		*t = lenientTime(at)
	}
	return nil
}

// jsonText says what is wrong with a JSON document without repeating much of it.
func jsonText(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v, at byte %d", syntax, syntax.Offset)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		field := kind.Field
		if field == "" {
			field = "the whole"
		}
		return fmt.Sprintf("%s is a JSON %s where it should be something else, at byte %d", field, strings.Fields(kind.Value + " value")[0], kind.Offset)
	}
	return err.Error()
}
