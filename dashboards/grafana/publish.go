package grafana

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/fanfare-push/fanfare/dashboards"
)

// Plan is what goes to a Grafana.
type Plan struct {
	Dashboards []dashboards.Dashboard
	Folder     string // title or uid; created if it is missing
	// Sources names, for the uid of a data source of ours, the one of the Grafana that
	// takes its place, by uid or by name.
	Sources map[string]string
	// LeaderURL and FollowerURL are where links between dashboards lead. Empty: to this
	// Grafana if the plan has dashboards of that side, else where docker-compose.yml has them.
	LeaderURL, FollowerURL string
	Message                string // for the history of versions
}

// Publish carries a plan out and says what it did, a line each time. It ends at the
// first error; what was uploaded before stays.
func (c *Client) Publish(ctx context.Context, plan Plan, say func(line string)) error {
	version, err := c.Version(ctx)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("Grafana %s at %s", version, c.URL()))
	chosen, err := c.choose(ctx, plan, say)
	if err != nil {
		return err
	}
	folder, created, err := c.Folder(ctx, plan.Folder)
	if err != nil {
		return err
	}
	if created {
		say(fmt.Sprintf("made the folder %q", plan.Folder))
	}
	leaderURL, followerURL := c.links(plan)
	for _, d := range plan.Dashboards {
		text, err := d.JSON(dashboards.Settings{Source: chosen[d.Source.UID], LeaderURL: leaderURL, FollowerURL: followerURL})
		if err != nil {
			return err
		}
		address, err := c.Upload(ctx, d.UID, text, folder, plan.Message)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("%s asks %s: %s", d.UID, chosen[d.Source.UID].Name, address))
	}
	return nil
}

// links are the addresses of both Grafanas.
func (c *Client) links(plan Plan) (leader, follower string) {
	leader, follower = plan.LeaderURL, plan.FollowerURL
	for _, d := range plan.Dashboards {
		switch {
		case d.Grafana == dashboards.Leader && leader == "":
			leader = c.URL()
		case d.Grafana == dashboards.Follower && follower == "":
			follower = c.URL()
		}
	}
	return leader, follower
}

// choose finds the data source for each of ours that the plan needs.
func (c *Client) choose(ctx context.Context, plan Plan, say func(string)) (map[string]dashboards.DataSource, error) {
	there, err := c.Sources(ctx)
	var refused *Error
	hidden := errors.As(err, &refused) && refused.Status == http.StatusForbidden
	if err != nil && !hidden {
		return nil, err
	}
	chosen := make(map[string]dashboards.DataSource)
	for _, d := range plan.Dashboards {
		if _, done := chosen[d.Source.UID]; done {
			continue
		}
		wanted := plan.Sources[d.Source.UID]
		if hidden {
			chosen[d.Source.UID] = unseen(d.Source, wanted)
			say(fmt.Sprintf("the token may not list data sources; %s is taken on trust", chosen[d.Source.UID].UID))
			continue
		}
		if chosen[d.Source.UID], err = match(there, d.Source, wanted); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// unseen is the data source when the Grafana does not tell which it has.
func unseen(own dashboards.DataSource, wanted string) dashboards.DataSource {
	if wanted == "" {
		return own
	}
	return dashboards.DataSource{UID: wanted, Name: wanted}
}

// match finds the data source that was asked for, or our own, or the only one.
func match(there []Source, own dashboards.DataSource, wanted string) (dashboards.DataSource, error) {
	look := wanted
	if look == "" {
		look = own.UID
	}
	for _, s := range there {
		if s.UID == look || s.Name == look {
			return dashboards.DataSource{UID: s.UID, Name: s.Name}, nil
		}
	}
	if wanted == "" && len(there) == 1 {
		return dashboards.DataSource{UID: there[0].UID, Name: there[0].Name}, nil
	}
	var names []string
	for _, s := range there {
		names = append(names, fmt.Sprintf("%s (%s)", s.Name, s.UID))
	}
	if len(names) == 0 {
		return dashboards.DataSource{}, errors.New("the Grafana has no data source of the type prometheus; add one first")
	}
	return dashboards.DataSource{}, fmt.Errorf("the Grafana has no Prometheus data source %q for what asks %s; it has %s", look, own.Name, strings.Join(names, ", "))
}
