package dashboards

import "github.com/grafana-tools/sdk"

// allNodes is what "All" of the variable node stands for: every series that has a
// node, which those of allocators have not.
const allNodes = ".+"

// variables are the choices at the top of a dashboard.
func (d *Dashboard) variables(s Settings) []sdk.TemplateVar {
	list := []sdk.TemplateVar{sourceVariable(s.Source), clusterVariable()}
	if d.node {
		list = append(list, nodeVariable())
	}
	if d.Grafana == Leader {
		return append(list, urlVariable("follower_url", "Follower Grafana", s.FollowerURL, DefaultFollowerURL))
	}
	return append(list, urlVariable("leader_url", "Leader Grafana", s.LeaderURL, DefaultLeaderURL))
}

// sourceVariable starts with the uid (which Grafana looks at from 10.1 on) and the
// name (which older ones look at).
func sourceVariable(from DataSource) sdk.TemplateVar {
	return sdk.TemplateVar{
		Name: "datasource", Type: "datasource", Label: "Data source / 数据源", Query: "prometheus", Refresh: once(),
		Current: sdk.Current{Text: words(from.Name), Value: from.UID}, Options: []sdk.Option{},
	}
}

func clusterVariable() sdk.TemplateVar {
	return labelVariable("cluster", "Cluster / 集群", "label_values(up, cluster)")
}

func nodeVariable() sdk.TemplateVar {
	v := labelVariable("node", "Node / 节点", `label_values(up{cluster="$cluster",job="fanfare-node"}, node)`)
	v.Multi, v.IncludeAll, v.AllValue = true, true, allNodes
	v.Current = sdk.Current{Text: words("All"), Value: []string{"$__all"}}
	return v
}

// labelVariable offers the values of a label; they are asked for anew when the time
// range changes.
func labelVariable(name, label, expr string) sdk.TemplateVar {
	onTimeRange := int64(2)
	return sdk.TemplateVar{
		Name: name, Type: "query", Label: label, Datasource: source(), Refresh: sdk.BoolInt{Value: &onTimeRange}, Sort: 1,
		Query: object{"query": expr, "refId": "StandardVariableQuery"}, Options: []sdk.Option{},
	}
}

func urlVariable(name, label, url, normal string) sdk.TemplateVar {
	if url == "" {
		url = normal
	}
	return sdk.TemplateVar{
		Name: name, Type: "textbox", Label: label, Query: url, Refresh: never(),
		Current: sdk.Current{Text: words(url), Value: url}, Options: []sdk.Option{{Text: url, Value: url, Selected: true}},
	}
}

func words(text string) *sdk.StringSliceString {
	return &sdk.StringSliceString{Value: []string{text}, Valid: true}
}

// once asks when the dashboard is loaded.
func once() sdk.BoolInt { n := int64(1); return sdk.BoolInt{Value: &n} }

func never() sdk.BoolInt { n := int64(0); return sdk.BoolInt{Value: &n} }
