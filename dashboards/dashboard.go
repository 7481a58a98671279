package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/grafana-tools/sdk"
)

// Grafana is one of the two Grafanas of a cluster.
type Grafana string

// The Grafana beside the leader shows the cluster as a whole, the one beside the
// followers shows nodes and machines.
const (
	Leader   Grafana = "leader"
	Follower Grafana = "follower"
)

// DataSource is a Prometheus that dashboards ask.
type DataSource struct {
	UID  string // fixed by provisioning
	Name string // as people see it
}

// The data sources that provisioning sets up.
var (
	leaderSource    = DataSource{"prom-leader", "Leader"}
	follower1Source = DataSource{"prom-follower-1", "Follower-1"}
	follower2Source = DataSource{"prom-follower-2", "Follower-2"}
)

// Where the two Grafanas of docker-compose.yml are reached from a browser on the same
// machine; the variables follower_url and leader_url start with them.
const (
	DefaultLeaderURL   = "http://localhost:3030"
	DefaultFollowerURL = "http://localhost:3031"
)

// Dashboard is a dashboard of Fanfare.
type Dashboard struct {
	UID     string
	Title   string // in English and Chinese
	Grafana Grafana
	Source  DataSource // where its queries go

	description about
	node        bool // has the variable "node"
	panels      []panel
}

// All lists the dashboards, those of the leader first.
func All() []Dashboard {
	return []Dashboard{
		overview(), delivery(), connections(), cluster(), alerting(),
		node(), stages(), routes(), infrastructure(),
	}
}

// File is where the JSON of the dashboard stands, below the folder of this package.
func (d *Dashboard) File() string { return path.Join(string(d.Grafana), d.UID+".json") }

// Description says in English what the dashboard is for.
func (d *Dashboard) Description() string { return d.description.en }

// Settings are what a dashboard may be given for a Grafana other than the one that
// docker-compose.yml starts. The zero value changes nothing.
type Settings struct {
	Source      DataSource // replaces the dashboard's own
	LeaderURL   string     // of the leader's Grafana, as browsers reach it
	FollowerURL string
}

// JSON is the dashboard as Grafana loads it, with sorted keys and a newline at its end.
func (d *Dashboard) JSON(s Settings) ([]byte, error) {
	raw, err := json.Marshal(d.board(s))
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	var plain object
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	d.tidy(plain)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(plain); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return out.Bytes(), nil
}

// board fills the SDK's model. It is a literal because sdk.NewBoard counts in a global
// variable, so that ids would depend on who called it before.
func (d *Dashboard) board(s Settings) *sdk.Board {
	if s.Source.UID == "" {
		s.Source = d.Source
	}
	b := &sdk.Board{
		UID: d.UID, Title: d.Title, Tags: []string{"fanfare", "fanfare-" + string(d.Grafana)}, Style: "dark", Timezone: "browser",
		SchemaVersion: schemaVersion, Time: sdk.Time{From: "now-1h", To: "now"}, Refresh: &sdk.BoolString{Value: "30s"}, GraphTooltip: 1,
		Timepicker: sdk.Timepicker{RefreshIntervals: []string{"15s", "30s", "1m", "5m", "15m", "1h"}},
		Templating: sdk.Templating{List: d.variables(s)}, Links: d.boardLinks(), Panels: d.place(),
	}
	b.Annotations.List = []sdk.Annotation{alertAnnotation()}
	return b
}

// place lays the panels out from left to right and from top to bottom, so that none
// overlaps another, and numbers them.
func (d *Dashboard) place() (out []*sdk.Panel) {
	x, y, height := 0, 0, 0
	for i, p := range d.panels {
		if x+p.width > 24 {
			x, y, height = 0, y+height, 0
		}
		out = append(out, p.render(uint(i+1), x, y))
		x, height = x+p.width, max(height, p.height)
	}
	return out
}

// alertAnnotation marks in every diagram when alerts fired.
func alertAnnotation() sdk.Annotation {
	return sdk.Annotation{
		Name: "Alerts / 告警", Datasource: source(), Enable: true, IconColor: "red", Step: "60s",
		Expr:        annotationExpr,
		TitleFormat: "{{alertname}}", TextFormat: "{{severity}} {{node}} {{instance}}", TagKeys: "severity,component",
	}
}

const annotationExpr = `ALERTS{cluster="$cluster",alertstate="firing",severity=~"critical|warning"}`

// boardLinks lead to the other dashboards of the same Grafana and to the other Grafana.
func (d *Dashboard) boardLinks() []sdk.Link {
	yes, list := true, "dashboards"
	other := "${follower_url}/d/fanfare-node?var-cluster=${cluster}"
	title, icon := "Detail / 明细", "external link"
	if d.Grafana == Follower {
		other, title = "${leader_url}/d/fanfare-overview?var-cluster=${cluster}", "Overview / 总览"
	}
	return []sdk.Link{
		{Title: "Fanfare", Type: list, AsDropdown: &yes, Icon: &icon, IncludeVars: true, KeepTime: &yes, Tags: []string{"fanfare-" + string(d.Grafana)}},
		{Title: title, Type: "link", Icon: &icon, URL: &other, TargetBlank: &yes, KeepTime: &yes},
	}
}

// Find finds the dashboard with a uid.
func Find(uid string) (Dashboard, bool) {
	all := All()
	i := slices.IndexFunc(all, func(d Dashboard) bool { return d.UID == uid })
	if i < 0 {
		return Dashboard{}, false
	}
	return all[i], true
}
