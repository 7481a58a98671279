package grafana

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/dashboards"
)

// everyRelease runs a test against the answers of each release.
func everyRelease(t *testing.T, test func(t *testing.T, s *server, c *Client)) {
	for _, r := range releases() {
		t.Run(r.version, func(t *testing.T) {
			s := newServer(t, r)
			c, err := New(Options{URL: s.url + "/", Token: token})
			if err != nil {
				t.Fatal(err)
			}
			test(t, s, c)
		})
	}
}

func wholePlan() Plan {
	return Plan{Dashboards: dashboards.All(), Folder: "Fanfare", Message: "fanfare test", Sources: map[string]string{"prom-follower-2": "Infra"}}
}

func publish(t *testing.T, c *Client, plan Plan) (said string, err error) {
	t.Helper()
	var lines []string
	err = c.Publish(t.Context(), plan, func(line string) { lines = append(lines, line) })
	return strings.Join(lines, "\n"), err
}

func TestPublishAll(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		said, err := publish(t, c, wholePlan())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Grafana " + s.release.version, `made the folder "Fanfare"`, s.url + "/d/fanfare-node/node", "fanfare-infrastructure asks Infra"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q is missing in\n%s", want, said)
			}
		}
		if len(s.dashboards) != len(dashboards.All()) {
			t.Errorf("%d dashboards arrived", len(s.dashboards))
		}
		got := fmt.Sprint(s.dashboards["fanfare-infrastructure"]["templating"])
		if !strings.Contains(got, "value:abc") || strings.Contains(got, "prom-follower-2") || !strings.Contains(got, s.url) || strings.Contains(got, "localhost:3030") {
			t.Errorf("the variables are %s", got)
		}
		if s.messages[0] != "fanfare test" {
			t.Errorf("the message is %q", s.messages[0])
		}
	})
}

func TestPublishAgainReplacesAndKeepsTheFolder(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		for range 2 {
			if said, err := publish(t, c, wholePlan()); err != nil {
				t.Fatalf("%v after\n%s", err, said)
			}
		}
		if len(s.folders) != 1 || s.dashboards["fanfare-node"]["version"] != 2 {
			t.Errorf("%d folders, version %v", len(s.folders), s.dashboards["fanfare-node"]["version"])
		}
	})
}

func TestPublishOneSideLinksToTheOther(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		d, _ := dashboards.Find("fanfare-overview")
		if _, err := publish(t, c, Plan{Dashboards: []dashboards.Dashboard{d}, Folder: "F", FollowerURL: "https://other.example.org"}); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.dashboards["fanfare-overview"]["templating"]); !strings.Contains(got, "https://other.example.org") {
			t.Errorf("the variables are %s", got)
		}
	})
}

func TestBasicAuthorization(t *testing.T) {
	s := newServer(t, releases()[1])
	c, err := New(Options{URL: s.url, Token: "admin:secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, c, wholePlan()); err != nil {
		t.Error(err)
	}
}

func TestFolderByUIDAndTwice(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		s.folders = []map[string]any{{"uid": "u1", "title": "Team"}, {"uid": "u2", "title": "Team"}}
		if uid, created, err := c.Folder(t.Context(), "u2"); uid != "u2" || created || err != nil {
			t.Errorf("by uid: %q, %v, %v", uid, created, err)
		}
		if _, _, err := c.Folder(t.Context(), "Team"); err == nil || !strings.Contains(err.Error(), "u1 or u2") {
			t.Errorf("a title that two folders have: %v", err)
		}
	})
}

func TestFolderThatCannotBeSeen(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		s.folders, s.hidden = []map[string]any{{"uid": "u1", "title": "Fanfare"}}, []string{"Fanfare"}
		_, err := publish(t, c, wholePlan())
		if err == nil || !strings.Contains(err.Error(), "may not see it") || !strings.Contains(err.Error(), "same name already exists") {
			t.Error(err)
		}
	})
}

func TestDataSources(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		plan := wholePlan()
		plan.Sources = nil
		_, err := publish(t, c, plan)
		if err == nil || !strings.Contains(err.Error(), "Infra (abc)") || !strings.Contains(err.Error(), "prom-follower-2") {
			t.Errorf("a data source that is missing: %v", err)
		}
		if len(s.dashboards) != 0 || len(s.folders) != 0 {
			t.Error("something was changed before the mistake was found")
		}
		s.sources = s.sources[:1]
		if said, err := publish(t, c, plan); err != nil || !strings.Contains(said, "fanfare-infrastructure asks Leader") {
			t.Errorf("the only data source: %v\n%s", err, said)
		}
		s.sources = nil
		if _, err := publish(t, c, plan); err == nil || !strings.Contains(err.Error(), "add one first") {
			t.Errorf("no data source: %v", err)
		}
	})
}

func TestDataSourcesThatCannotBeListed(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		s.mayList = false
		said, err := publish(t, c, wholePlan())
		if err != nil || !strings.Contains(said, "Infra is taken on trust") || !strings.Contains(said, "prom-leader is taken on trust") {
			t.Errorf("%v\n%s", err, said)
		}
	})
}

// TestStrangerWithOurTitle: Grafana would let us take its place.
func TestStrangerWithOurTitle(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		s.folders = []map[string]any{{"uid": "f", "title": "Fanfare"}}
		s.dashboards["theirs"] = map[string]any{"title": "Fanfare overview / 总览", "folder": "f", "version": 3}
		_, err := publish(t, c, wholePlan())
		if err == nil || !strings.Contains(err.Error(), "rename or remove") || !strings.Contains(err.Error(), "fanfare-overview") {
			t.Error(err)
		}
		if s.dashboards["theirs"]["version"] != 3 {
			t.Error("the stranger was replaced")
		}
	})
}

func TestProvisionedDashboards(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, c *Client) {
		s.provision = true
		if _, err := publish(t, c, wholePlan()); err == nil || !strings.Contains(err.Error(), "provisioning") {
			t.Error(err)
		}
	})
}

func TestWrongToken(t *testing.T) {
	everyRelease(t, func(t *testing.T, s *server, _ *Client) {
		for _, wrong := range []string{"", "glsa_wrong", "admin:wrong"} {
			c, err := New(Options{URL: s.url, Token: wrong})
			if err != nil {
				t.Fatal(err)
			}
			_, err = publish(t, c, wholePlan())
			if err == nil || !strings.Contains(err.Error(), "Service accounts") || !strings.Contains(strings.ToLower(err.Error()), "invalid api key") {
				t.Errorf("%q: %v", wrong, err)
			}
			if wrong != "" && strings.Contains(err.Error(), wrong) {
				t.Errorf("the token is in the error: %v", err)
			}
		}
	})
}
