package main

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/fanfare-push/fanfare/dashboards"
)

// dashboardsCmd is about the Grafana dashboards.
type dashboardsCmd struct {
	List    dashboardsListCmd    `cmd:"" help:"List the dashboards."`
	Write   dashboardsWriteCmd   `cmd:"" help:"Write the dashboards as JSON files, for Grafana's provisioning."`
	Publish dashboardsPublishCmd `cmd:"" help:"Upload dashboards to a Grafana through its API."`
}

// dashboardsListCmd lists the dashboards.
type dashboardsListCmd struct{}

// Run is called by kong.
func (dashboardsListCmd) Run(p *process) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "UID\tGRAFANA\tASKS\tTITLE")
	for _, d := range dashboards.All() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.UID, d.Grafana, d.Source.Name, d.Title)
	}
	return w.Flush()
}

// otherGrafana are the addresses that links between dashboards lead to.
type otherGrafana struct {
	LeaderURL   string `name:"leader-url" help:"Where browsers reach the Grafana with the leader's dashboards." placeholder:"URL"`
	FollowerURL string `name:"follower-url" help:"Where browsers reach the Grafana with the followers' dashboards." placeholder:"URL"`
}

// dashboardsWriteCmd writes the dashboards as files.
type dashboardsWriteCmd struct {
	otherGrafana
	Dir string `help:"Folder that gets leader/ and follower/." default:"dashboards" placeholder:"DIR"`
}

// Help is shown by --help.
func (dashboardsWriteCmd) Help() string {
	return `Writes leader/*.json and follower/*.json. Grafana reads such folders by itself when a provider of its provisioning
names them; configs/grafana-leader and configs/grafana-follower show how.

Examples:

  fanfare dashboards write
  fanfare dashboards write --dir /var/lib/grafana-dashboards --follower-url https://grafana.example.org`
}

// Run is called by kong.
func (cmd *dashboardsWriteCmd) Run(p *process) error {
	files, err := dashboards.Write(cmd.Dir, dashboards.Settings{LeaderURL: cmd.LeaderURL, FollowerURL: cmd.FollowerURL})
	for _, file := range files {
		fmt.Fprintln(p.stdout, filepath.ToSlash(file))
	}
	return err
}
