package robot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer is what DingTalk says; the status of HTTP is 200 whatever happened.
type answer struct {
	Code    *int   `json:"errcode"`
	Message string `json:"errmsg"`
	// Punish comes from the gateway before the robots: "deny".
	Punish string `json:"punish"`
}

// classify finds what an answer means. Only an errcode that is present and 0 is success.
func classify(status int, body []byte) Result {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.Code == nil {
		return withoutCode(status, a, body)
	}
	if a.Punish != "" {
		return Result{Kind: RateLimited, Code: known(*a.Code), Text: "DingTalk's gateway refuses: " + a.words(), ban: banLimit}
	}
	kind, ok := kinds()[*a.Code]
	switch {
	case tooFast(a.Message) && kind != Sent:
		kind = RateLimited
	case !ok: // not known to be final, so worth another attempt
		kind = Busy
	case kind == Sent && status != http.StatusOK:
		return Result{Kind: Busy, Code: CodeHTTP, Text: fmt.Sprintf("HTTP %d with errcode 0", status)}
	}
	result := Result{Kind: kind, Code: known(*a.Code), Text: a.words(), Doubtful: !ok && kind == Busy || *a.Code == 310000 && isKeyword(a.Message)}
	if kind == RateLimited {
		result.ban = banLimit
		if *a.Code == 90030 {
			result.ban = banQuota
		}
	}
	if *a.Code == 310000 {
		result.Text = explain(a.Message) + ": " + result.Text
		result.badTime = isTime(a.Message)
	}
	return result
}

func (a answer) words() string {
	if a.Code == nil {
		return a.Message
	}
	return fmt.Sprintf("errcode %d %s", *a.Code, a.Message)
}

func known(code int) string {
	if _, ok := kinds()[code]; ok {
		return strconv.Itoa(code)
	}
	return CodeOther
}

// withoutCode tells what an answer without errcode means: a gateway or a proxy speaks.
func withoutCode(status int, a answer, body []byte) Result {
	text := fmt.Sprintf("HTTP %d without errcode: %s", status, body[:min(len(body), 4*mostText)])
	switch {
	case status == http.StatusTooManyRequests, a.Punish != "":
		return Result{Kind: RateLimited, Code: codeOf(status), Text: text, ban: banLimit}
	case status == http.StatusOK: // "punish", an HTML page: the gateway wants to be left alone
		return Result{Kind: RateLimited, Code: CodeMissing, Text: text, ban: banLimit}
	case status == http.StatusRequestEntityTooLarge:
		return Result{Kind: TooLong, Code: CodeHTTP, Text: text}
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		return Result{Kind: Busy, Code: CodeHTTP, Text: text}
	case status >= 300 && status < 400:
		return Result{Kind: Misconfigured, Code: CodeHTTP, Text: fmt.Sprintf("HTTP %d: a redirect, which is not followed with the token", status)}
	}
	return Result{Kind: Misconfigured, Code: CodeHTTP, Text: text}
}

func codeOf(status int) string {
	if status == http.StatusOK {
		return CodeMissing
	}
	return CodeHTTP
}

// has reports whether a message contains one of the words, which are in lower case.
func has(message string, words ...string) bool {
	message = strings.ToLower(message)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(message, word) })
}

func tooFast(message string) bool   { return has(message, "too fast", "太快") }
func isKeyword(message string) bool { return has(message, "keyword", "关键词") }
func isTime(message string) bool    { return has(message, "timestamp", "expired", "过期") }

// explain says which of the four meanings of 310000 a message has.
func explain(message string) string {
	switch {
	case isKeyword(message):
		return "none of the robot's keywords is in the message"
	case isTime(message):
		return "the clock of this machine is off by more than an hour"
	case has(message, "sign", "签名"):
		return "the secret is wrong or missing"
	case has(message, "whitelist", "白名单", "ip "):
		return "the address of this machine is not on the robot's list"
	}
	return "the robot's security settings refuse the message"
}
