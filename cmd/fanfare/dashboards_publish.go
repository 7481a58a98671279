package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/dashboards"
	"github.com/fanfare-push/fanfare/dashboards/grafana"
)

// dashboardsPublishCmd uploads dashboards.
type dashboardsPublishCmd struct {
	otherGrafana
	Grafana   string        `help:"URL of the Grafana, with its sub-path if it has one." required:"" placeholder:"URL"`
	TokenFile string        `help:"File with the token of a service account, or user:password, in its first line; wins over $GRAFANA_TOKEN." placeholder:"FILE"`
	Folder    string        `help:"Folder for the dashboards, by title or uid; it is made if it is missing." default:"Fanfare" placeholder:"NAME"`
	Leader    string        `name:"leader-datasource" help:"Data source (uid or name) that is the leader." placeholder:"UID"`
	Follower1 string        `name:"follower-1-datasource" help:"Data source (uid or name) that scrapes push nodes and allocators." placeholder:"UID"`
	Follower2 string        `name:"follower-2-datasource" help:"Data source (uid or name) that scrapes the infrastructure." placeholder:"UID"`
	Timeout   time.Duration `help:"Longest time for one request." default:"30s"`

	Which []string `arg:"" optional:"" help:"Dashboards by uid, or leader or follower for those of one side. Without it: all."`
}

// Help is shown by --help.
func (dashboardsPublishCmd) Help() string {
	return `Uploads dashboards to a Grafana of your own, 9.4 or newer. The ones in docker-compose.yml have them already, from files.

The token's service account needs the role Editor, and Admin if data sources are to be looked up by name. A dashboard
that was published before is replaced; Grafana keeps its older versions.

Examples:

  GRAFANA_TOKEN=glsa_… fanfare dashboards publish --grafana https://grafana.example.org --leader-datasource Prometheus leader
  fanfare dashboards publish --grafana http://localhost:3000 --token-file token fanfare-overview fanfare-node`
}

// Run is called by kong.
func (cmd *dashboardsPublishCmd) Run(p *process) error {
	which, err := selectDashboards(cmd.Which)
	if err != nil {
		return usageError{err}
	}
	token, err := cmd.token(p)
	if err != nil {
		return err
	}
	c, err := grafana.New(grafana.Options{URL: cmd.Grafana, Token: token, Timeout: cmd.Timeout})
	if err != nil {
		return usageError{err}
	}
	return c.Publish(p.ctx, grafana.Plan{
		Dashboards: which, Folder: cmd.Folder, LeaderURL: cmd.LeaderURL, FollowerURL: cmd.FollowerURL, Message: "fanfare " + version,
		Sources: map[string]string{"prom-leader": cmd.Leader, "prom-follower-1": cmd.Follower1, "prom-follower-2": cmd.Follower2},
	}, func(line string) { fmt.Fprintln(p.stdout, line) })
}

// token is the first line of the file, or the variable of the environment.
func (cmd *dashboardsPublishCmd) token(p *process) (string, error) {
	if cmd.TokenFile == "" {
		return p.getenv("GRAFANA_TOKEN"), nil
	}
	text, err := os.ReadFile(cmd.TokenFile)
	if err != nil {
		return "", usagef("--token-file: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	token := strings.TrimSpace(string(line))
	if token == "" {
		return "", usagef("--token-file: %s has nothing in its first line", cmd.TokenFile)
	}
	return token, nil
}

// selectDashboards finds dashboards by uid or by side; all of them for no name.
func selectDashboards(names []string) (which []dashboards.Dashboard, err error) {
	for _, name := range names {
		if _, ok := dashboards.Find(name); !ok && name != string(dashboards.Leader) && name != string(dashboards.Follower) {
			return nil, fmt.Errorf("there is no dashboard %q; \"fanfare dashboards list\" names them", name)
		}
	}
	for _, d := range dashboards.All() {
		wanted := len(names) == 0
		for _, name := range names {
			wanted = wanted || name == d.UID || name == string(d.Grafana)
		}
		if wanted {
			which = append(which, d)
		}
	}
	return which, nil
}
