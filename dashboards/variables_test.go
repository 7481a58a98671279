package dashboards

import (
	"fmt"
	"strings"
	"testing"
)

func TestVariables(t *testing.T) {
	for _, d := range All() {
		byName := make(map[string]object)
		for _, v := range list(inside(plain(t, d), "templating"), "list") {
			byName[v["name"].(string)] = v
		}
		if v := byName["datasource"]; v["type"] != "datasource" || v["query"] != "prometheus" || inside(v, "current")["value"] != d.Source.UID ||
			inside(v, "current")["text"] != d.Source.Name || v["skipUrlSync"] != true {
			t.Errorf("%s: the data source is chosen by %v", d.UID, v)
		}
		if v := byName["cluster"]; v["definition"] != "label_values(up, cluster)" || v["refresh"] != float64(2) || v["multi"] != false {
			t.Errorf("%s: the cluster is chosen by %v", d.UID, v)
		}
		if v, ok := byName["node"]; ok != d.node || ok && (v["allValue"] != ".+" || v["multi"] != true || v["includeAll"] != true) {
			t.Errorf("%s: the node is chosen by %v", d.UID, v)
		}
		other := map[Grafana]string{Leader: "follower_url", Follower: "leader_url"}[d.Grafana]
		if v := byName[other]; v["type"] != "textbox" || !strings.HasPrefix(fmt.Sprint(v["query"]), "http://localhost:303") {
			t.Errorf("%s: %s is %v", d.UID, other, v)
		}
	}
}

func TestSettingsReplaceSourceAndURLs(t *testing.T) {
	d, _ := Find("fanfare-node")
	text, err := d.JSON(Settings{Source: DataSource{UID: "mine", Name: "My Prometheus"}, LeaderURL: "https://g.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"value": "mine"`, `"text": "My Prometheus"`, `"query": "https://g.example.org"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(text), "prom-follower-1") {
		t.Error("the own data source is left")
	}
}

// TestLinksLeadSomewhere: to a dashboard there is, in the Grafana that has it.
func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, d := range All() {
		for _, p := range d.panels {
			links := append(append([]link(nil), p.links...), p.valueLinks...)
			for _, c := range p.columns {
				links = append(links, c.links...)
			}
			for _, l := range links {
				where, uid, ok := strings.Cut(l.url, "/d/")
				if !ok {
					if !strings.HasPrefix(l.url, "https://github.com/fanfare-push/fanfare/blob/main/docs/") {
						t.Errorf("%s, %s: leads to %s", d.UID, p.title, l.url)
					}
					continue
				}
				uid, rest, _ := strings.Cut(uid, "?")
				to, found := Find(uid)
				grafana := map[string]Grafana{"": d.Grafana, "${follower_url}": Follower, "${leader_url}": Leader}[where]
				if !found || to.Grafana != grafana || !strings.Contains(rest, "var-cluster=${cluster}") || strings.Contains(rest, "var-node") && !to.node {
					t.Errorf("%s, %s: nothing is at %s", d.UID, p.title, l.url)
				}
				checked++
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d links", checked)
	}
}
