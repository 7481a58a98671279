//go:build linux

package watch

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// What Prometheus does by itself and flags, not files, say.
const (
	defaultLookBack = 5 * time.Minute
	defaultResend   = time.Minute
	defaultScrape   = 15 * time.Second
)

// sample is one series of an answer.
type sample struct {
	Metric map[string]string `json:"metric"`
	Point  [2]any            `json:"value"`
}

func (s sample) value() float64 {
	text, _ := s.Point[1].(string)
	v, _ := strconv.ParseFloat(text, 64)
	return v
}

// ask gets a page of the HTTP API.
func (p *prometheus) ask(path string, into any) error {
	code, text, err := fetch(p.address, "/api/v1/"+path)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return fmt.Errorf("%d: %w", code, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%d: %s", code, answer.Error)
	}
	return nil
}

// query asks for the present value of an expression; nothing while the server is away.
func (p *prometheus) query(t testing.TB, expr string) []sample {
	t.Helper()
	all, err := p.try(expr)
	if err != nil {
		t.Logf("%s: %s: %v", p.name, expr, err)
	}
	return all
}

func (p *prometheus) try(expr string) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.ask("query?query="+url.QueryEscape(expr), &data)
	return data.Result, err
}

// unscraped tells which target is not up; also when there are none.
func (p *prometheus) unscraped() string {
	var data struct {
		ActiveTargets []struct {
			Labels                       map[string]string
			ScrapeURL, Health, LastError string
		}
	}
	if err := p.ask("targets?state=active", &data); err != nil {
		return err.Error()
	}
	for _, a := range data.ActiveTargets {
		if a.Health != "up" {
			return fmt.Sprintf("%s %s is %s: %s", a.Labels["job"], a.ScrapeURL, a.Health, a.LastError)
		}
	}
	return unless(len(data.ActiveTargets) > 0, "no targets")
}

// activeAlerts are the names of those that are pending or fire.
func (p *prometheus) activeAlerts() (names []string) {
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := p.ask("alerts", &data); err != nil {
		return []string{err.Error()}
	}
	for _, a := range data.Alerts {
		if a.Labels["alertname"] == "Watchdog" {
			names = append(names, "Watchdog")
			continue
		}
		names = append(names, fmt.Sprintf("%s %v", a.State, a.Labels))
	}
	return names
}
