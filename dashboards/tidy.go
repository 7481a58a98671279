package dashboards

// tidy turns what the SDK writes into what Grafana writes: fields of releases long
// gone are dropped, and the few that the SDK does not know are added.
func (d *Dashboard) tidy(board object) {
	drop(board, "rows", "slug", "originalTitle", "hideControls", "sharedCrosshair", "version")
	board["description"] = d.description.en + "\n\n" + d.description.zh
	board["liveNow"], board["weekStart"], board["fiscalYearStartMonth"] = false, "", 0
	drop(inside(board, "timepicker"), "time_options")
	for _, p := range list(board, "panels") {
		drop(p, "span", "isNew", "error", "editable")
		if p["type"] == string(kindRow) {
			drop(p, "transparent")
		}
	}
	for _, a := range list(inside(board, "annotations"), "list") {
		drop(a, "showLine", "lineColor", "iconSize", "query", "tagsField", "textField", "tags", "type")
		a["useValueForTime"], a["hide"] = false, false
		// Newer releases look here, older ones at the fields beside it.
		a["target"] = object{"expr": a["expr"], "interval": a["step"], "refId": "Anno"}
	}
	for _, v := range list(inside(board, "templating"), "list") {
		tidyVariable(v)
	}
	for _, l := range list(board, "links") {
		tidyLink(l)
	}
}

// tidyVariable gives a variable the shape that its type has.
func tidyVariable(v object) {
	drop(v, "allFormat", "multiFormat")
	// Links between dashboards take the variables along, and the next dashboard may need
	// another data source.
	v["skipUrlSync"] = v["type"] == "datasource"
	current := inside(v, "current")
	if _, many := current["value"].([]any); !many {
		if text, ok := current["text"].([]any); ok && len(text) == 1 {
			current["text"] = text[0]
		}
	}
	current["selected"] = false
	switch v["type"] {
	case "query":
		v["definition"] = inside(v, "query")["query"]
		if current["value"] == nil { // Grafana takes the first one
			drop(v, "current")
		}
	default:
		drop(v, "datasource")
	}
	if v["allValue"] == "" {
		drop(v, "allValue")
	}
}

// tidyLink fills in what Grafana always writes.
func tidyLink(l object) {
	for name, normal := range map[string]any{
		"asDropdown": false, "icon": "", "includeVars": false, "keepTime": false, "tags": []any{}, "targetBlank": false, "tooltip": "", "url": "",
	} {
		if _, ok := l[name]; !ok {
			l[name] = normal
		}
	}
}

func drop(o object, names ...string) {
	for _, name := range names {
		delete(o, name)
	}
}

// inside is the object under a name; an empty one if there is none.
func inside(o object, name string) object {
	if in, ok := o[name].(object); ok {
		return in
	}
	return object{}
}

// list are the objects in the list under a name.
func list(o object, name string) (out []object) {
	items, _ := o[name].([]any)
	for _, item := range items {
		if in, ok := item.(object); ok {
			out = append(out, in)
		}
	}
	return out
}
