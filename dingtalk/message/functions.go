package message

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// withheld are the functions of sprig that reach out of the template, make keys (which
// takes seconds), or give another answer each time.
func withheld() []string {
	return []string{"env", "expandenv", "getHostByName", "genPrivateKey", "derivePassword", "buildCustomCert", "genCA", "genCAWithKey",
		"genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "encryptAES", "decryptAES", "bcrypt", "htpasswd",
		"randBytes", "randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randInt", "uuidv4", "shuffle"}
}

// functions returns what templates may call: sprig's functions as far as they are
// harmless, Alertmanager's, and those of text/template that make texts, all bounded.
func (t *Templates) functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range withheld() {
		delete(all, name)
	}
	for _, more := range []template.FuncMap{textFunctions(), t.timeFunctions()} {
		for name, f := range more {
			all[name] = f
		}
	}
	for name, f := range all {
		all[name] = bound(name, f)
	}
	return all
}

// textFunctions are Alertmanager's functions and ours for texts.
func textFunctions() template.FuncMap {
	same := func(s string) string { return s }
	return template.FuncMap{
		"toUpper": strings.ToUpper, "toLower": strings.ToLower, "trimSpace": strings.TrimSpace,
		"markdown": markdown,
		"escape":   func(s string) string { return escape(oneLine(s, mostDescription)) },
		"match":    regexp.MatchString,
		"reReplaceAll": func(pattern, replacement, text string) (string, error) {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return "", err
			}
			return re.ReplaceAllString(text, replacement), nil
		},
		"stringSlice": func(s ...string) []string { return s },
		"safeHtml":    same, "safeUrl": same,
		"urlUnescape":  url.QueryUnescape,
		"base64encode": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64decode": func(s string) (string, error) {
			raw, err := base64.StdEncoding.DecodeString(s)
			return string(raw), err
		},
		"humanizeDuration": humanizeDuration,
		// The texts of text/template itself, to have them bounded.
		"print": fmt.Sprint, "println": fmt.Sprintln, "printf": fmt.Sprintf,
		"html": template.HTMLEscaper, "urlquery": template.URLQueryEscaper, "js": template.JSEscaper,
	}
}

// timeFunctions are those that know the clock and the time zone.
func (t *Templates) timeFunctions() template.FuncMap {
	return template.FuncMap{
		"now":   t.words.now,
		"since": func(at time.Time) time.Duration { return t.words.now().Sub(at) },
		"ago":   func(at time.Time) string { return t.words.now().Sub(at).Round(time.Second).String() },
		// tz gives UTC a location of its own, so that date leaves it alone.
		"tz": func(zone string, at time.Time) (time.Time, error) {
			location, err := time.LoadLocation(zone)
			if location == time.UTC {
				location = time.FixedZone("UTC", 0)
			}
			if err != nil {
				return time.Time{}, fmt.Errorf("no time zone %q is known", zone)
			}
			return at.In(location), nil
		},
		"date": t.date,
	}
}

// date formats a time as it is, but one in UTC, which is how alerts come, where the
// readers live.
func (t *Templates) date(layout string, at any) (string, error) {
	var when time.Time
	switch at := at.(type) {
	case time.Time:
		when = at
	case *time.Time:
		if at != nil {
			when = *at
		}
	case int:
		when = time.Unix(int64(at), 0)
	case int64:
		when = time.Unix(at, 0)
	default:
		return "", fmt.Errorf("date takes a time, not a %T", at)
	}
	if when.Location() == time.UTC || when.Location() == time.Local {
		when = when.In(t.words.zone)
	}
	return when.Format(layout), nil
}

// humanizeDuration writes a number of seconds, or a duration, such as "1h 5m 0s".
func humanizeDuration(of any) (string, error) {
	seconds, err := seconds(of)
	if err != nil {
		return "", err
	}
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	if seconds < 1 {
		return sign + time.Duration(seconds*float64(time.Second)).String(), nil
	}
	if seconds > 1e12 || seconds != seconds {
		return fmt.Sprint(of), nil
	}
	n := int64(seconds)
	days, hours, minutes := n/86400, n/3600%24, n/60%60
	switch {
	case days > 0:
		return fmt.Sprintf("%s%dd %dh %dm %ds", sign, days, hours, minutes, n%60), nil
	case hours > 0:
		return fmt.Sprintf("%s%dh %dm %ds", sign, hours, minutes, n%60), nil
	case minutes > 0:
		return fmt.Sprintf("%s%dm %ds", sign, minutes, n%60), nil
	}
	return fmt.Sprintf("%s%.4gs", sign, seconds), nil
}

func seconds(of any) (float64, error) {
	switch of := of.(type) {
	case time.Duration:
		return of.Seconds(), nil
	case float64:
		return of, nil
	case int:
		return float64(of), nil
	case int64:
		return float64(of), nil
	case string:
		return strconv.ParseFloat(of, 64)
	}
	return 0, fmt.Errorf("humanizeDuration takes a number or a duration, not a %T", of)
}
