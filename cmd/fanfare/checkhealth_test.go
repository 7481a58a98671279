package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheckHealth(t *testing.T) {
	_, _, api, ops := startRun(t)
	for _, url := range []string{ops + "/-/ready", ops + "/-/healthy", api + "/-/ready"} {
		if r := run(t, "", nil, "check-health", url); r != (result{}) {
			t.Errorf("%s: %+v", url, r)
		}
	}
	run(t, "", nil, "check-health", ops+"/nowhere").wantLine(t, exitFailure, "answers 404")
}

func TestCheckHealthOfTheUnwell(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-release
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/long":
			http.Error(w, strings.Repeat("x", 1<<20), http.StatusInternalServerError)
		default:
			http.Error(w, "the registry\nis away", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	defer close(release)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{s.URL, exitFailure, "answers 503 Service Unavailable: the registry is away"},
		{s.URL + "/moved", exitFailure, "answers 302"},
		{s.URL + "/long", exitFailure, "xxx"},
		{s.URL + "/slow --timeout 50ms", exitFailure, "context deadline exceeded"},
		{"http://127.0.0.1:1/", exitFailure, "connection refused"},
		{"nonsense", exitUsage, "is not an http or https URL"},
		{"http://[", exitUsage, "is not an http or https URL"},
		{"--timeout=0s", exitUsage, "--timeout must be above 0"},
	} {
		r := run(t, "", nil, append([]string{"check-health"}, strings.Fields(c.args)...)...)
		r.wantLine(t, c.code, c.want)
		if len(r.stderr) > 1000 {
			t.Errorf("%s: %d bytes of complaint", c.args, len(r.stderr))
		}
	}
}
