package grafana

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// release is what differs between releases in the answers we see: the documented ones
// of 9.4 and of 13.
type release struct {
	version                                       string
	unauthorized, forbidden, notFound, sameFolder string
	folderIDs                                     bool // folders have numbers
}

func releases() []release {
	return []release{
		{
			version:      "9.4.17",
			unauthorized: `{"message":"invalid API key"}`,
			forbidden:    `{"accessErrorId":"ACE0241124138","message":"You'll need additional permissions to perform this action. Permissions needed: datasources:read","title":"Access denied"}`,
			notFound:     `{"message":"Dashboard not found"}`,
			sameFolder:   `{"message":"a folder or dashboard in the general folder with the same name already exists"}`,
			folderIDs:    true,
		},
		{
			version:      "13.0.1",
			unauthorized: `{"extra":null,"message":"Invalid API key","messageId":"api-key.invalid","statusCode":401,"traceID":""}`,
			forbidden:    `{"accessErrorId":"ACE7230981","messageId":"accesscontrol.forbidden","title":"Access denied"}`, // no message
			notFound:     `{"kind":"Status","status":"Failure","message":"Dashboard not found","reason":"NotFound","code":404}`,
			sameFolder:   `{"message":"a folder with the same name already exists in the current location"}`,
		},
	}
}

const token = "glsa_test"

// server plays the part of Grafana's HTTP API that publishing needs, as the
// documentation of a release has it. It is strict: what Grafana would not understand
// fails the test. It is no Grafana; whether panels look right it cannot tell.
type server struct {
	t       *testing.T
	release release
	url     string

	mu         sync.Mutex
	sources    []map[string]any
	folders    []map[string]any
	hidden     []string // folders the token may not see
	dashboards map[string]map[string]any
	messages   []string
	mayList    bool
	provision  bool // dashboards come from files
}

func newServer(t *testing.T, r release) *server {
	s := &server{t: t, release: r, dashboards: make(map[string]map[string]any), mayList: true, sources: []map[string]any{
		{"id": 1, "uid": "prom-leader", "name": "Leader", "type": "prometheus", "isDefault": true, "jsonData": map[string]any{"timeInterval": "15s"}},
		{"id": 2, "uid": "prom-follower-1", "name": "Follower-1", "type": "prometheus", "isDefault": false},
		{"id": 3, "uid": "abc", "name": "Infra", "type": "prometheus", "isDefault": false},
		{"id": 4, "uid": "loki", "name": "Logs", "type": "loki", "isDefault": false},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, 200, fmt.Sprintf(`{"commit":"abc","database":"ok","version":%q}`, r.version))
	})
	mux.HandleFunc("GET /api/datasources", s.known(s.getSources))
	mux.HandleFunc("GET /api/folders", s.known(s.getFolders))
	mux.HandleFunc("POST /api/folders", s.known(s.postFolder))
	mux.HandleFunc("GET /api/dashboards/uid/{uid}", s.known(s.getDashboard))
	mux.HandleFunc("POST /api/dashboards/db", s.known(s.postDashboard))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is no part of the API that we know", r.Method, r.URL.Path)
		s.answer(w, 404, `{"message":"Not found"}`)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *server) answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (s *server) write(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.t.Error(err)
	}
	s.answer(w, 200, string(text))
}

// known lets only requests with the token through.
func (s *server) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		if r.Header.Get("Authorization") != "Bearer "+token && !(basic && user == "admin" && password == "secret") {
			s.answer(w, 401, s.release.unauthorized)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		next(w, r)
	}
}

func (s *server) getSources(w http.ResponseWriter, _ *http.Request) {
	if !s.mayList {
		s.answer(w, 403, s.release.forbidden)
		return
	}
	s.write(w, s.sources)
}

func (s *server) getFolders(w http.ResponseWriter, _ *http.Request) {
	visible := []map[string]any{}
	for _, f := range s.folders {
		if !slices.Contains(s.hidden, f["title"].(string)) {
			visible = append(visible, f)
		}
	}
	s.write(w, visible)
}

func (s *server) postFolder(w http.ResponseWriter, r *http.Request) {
	var f struct{ Title string }
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil || f.Title == "" {
		s.answer(w, 400, `{"message":"folder title cannot be empty"}`)
		return
	}
	for _, other := range s.folders {
		if other["title"] == f.Title {
			s.answer(w, 409, s.release.sameFolder)
			return
		}
	}
	made := map[string]any{"uid": fmt.Sprintf("folder%d", len(s.folders)+1), "title": f.Title}
	if s.release.folderIDs {
		made["id"] = len(s.folders) + 7
	}
	s.folders = append(s.folders, made)
	s.write(w, made)
}

func (s *server) getDashboard(w http.ResponseWriter, r *http.Request) {
	d, ok := s.dashboards[r.PathValue("uid")]
	if !ok {
		s.answer(w, 404, s.release.notFound)
		return
	}
	s.write(w, map[string]any{"dashboard": d, "meta": map[string]any{
		"slug": "x", "version": d["version"], "expires": "0001-01-01T00:00:00Z", "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
	}})
}

// upload is the body of a request; Grafana knows no other keys.
type upload struct {
	Dashboard map[string]any `json:"dashboard"`
	FolderUID string         `json:"folderUid"`
	Overwrite bool           `json:"overwrite"`
	Message   string         `json:"message"`
}

func (s *server) postDashboard(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("the upload is %q", r.Header.Get("Content-Type"))
	}
	var u upload
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(&u); err != nil {
		s.t.Errorf("the upload: %v", err)
		s.answer(w, 400, `{"message":"bad request data"}`)
		return
	}
	uid, _ := u.Dashboard["uid"].(string)
	if u.Dashboard["title"] == "" || uid == "" || u.Dashboard["id"] != nil {
		s.t.Errorf("the dashboard %q has the title %q and the id %v", uid, u.Dashboard["title"], u.Dashboard["id"])
	}
	if !slices.ContainsFunc(s.folders, func(f map[string]any) bool { return f["uid"] == u.FolderUID }) {
		s.answer(w, 400, `{"message":"folder not found"}`)
		return
	}
	if s.provision {
		s.answer(w, 400, `{"message":"Cannot save provisioned dashboard"}`)
		return
	}
	for other, d := range s.dashboards {
		if other != uid && d["title"] == u.Dashboard["title"] && d["folder"] == u.FolderUID {
			s.answer(w, 412, `{"message":"A dashboard with the same name in the folder already exists","status":"name-exists"}`)
			return
		}
	}
	old, exists := s.dashboards[uid]
	if exists && !u.Overwrite {
		s.answer(w, 412, `{"message":"The dashboard has been changed by someone else","status":"version-mismatch"}`)
		return
	}
	version := 1
	if exists {
		version = old["version"].(int) + 1
	}
	u.Dashboard["version"], u.Dashboard["folder"] = version, u.FolderUID
	s.dashboards[uid] = u.Dashboard
	s.messages = append(s.messages, u.Message)
	s.write(w, map[string]any{"id": 1, "uid": uid, "url": "/d/" + uid + "/" + strings.TrimPrefix(uid, "fanfare-"), "status": "success", "version": version, "slug": "x"})
}
