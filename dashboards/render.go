package dashboards

import (
	"maps"
	"slices"
	"strings"

	"github.com/grafana-tools/sdk"
)

// The release whose panel options are written. Grafana migrates from it.
const (
	pluginVersion = "9.4.0"
	schemaVersion = 37
)

// object is JSON in the making.
type object = map[string]any

// source is the reference to the data source that the variable "datasource" holds.
func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

// render makes a panel of the SDK. Every panel is a custom one: the SDK's own types
// write zero values that Grafana takes at their word (a line of width 0) and have no
// overrides, transformations or mappings.
func (p *panel) render(id uint, x, y int) *sdk.Panel {
	out := sdk.NewCustom(p.title + " / " + p.titleZH)
	out.Type, out.Renderer, out.IsNew, out.ID = string(p.kind), nil, false, id
	out.GridPos.H, out.GridPos.W, out.GridPos.X, out.GridPos.Y = &p.height, &p.width, &x, &y
	if p.kind == kindRow {
		*out.CustomPanel = object{"collapsed": false, "panels": []any{}}
		return out
	}
	description := p.about + "\n\n" + p.aboutZH
	out.Description, out.Datasource = &description, source()
	custom := object{
		"targets": p.targets(), "fieldConfig": object{"defaults": p.defaults(), "overrides": p.overrides()},
		"options": p.options(), "pluginVersion": pluginVersion,
	}
	if t := p.transformations(); len(t) > 0 {
		custom["transformations"] = t
	}
	if len(p.links) > 0 {
		custom["links"] = renderLinks(p.links)
	}
	*out.CustomPanel = custom
	return out
}

// targets are the queries, named A, B, C and so on.
func (p *panel) targets() []any {
	var out []any
	newest := p.instant || p.kind == kindTable || p.kind == kindBars
	format := "time_series"
	switch p.kind {
	case kindTable:
		format = "table"
	case kindHeatmap:
		format = "heatmap"
	}
	for i, q := range p.queries {
		legend := q.legend
		if legend == "" {
			legend = "__auto"
		}
		out = append(out, object{
			"refId": string(rune('A' + i)), "datasource": source(), "editorMode": "code", "expr": q.expr,
			"format": format, "instant": newest, "range": !newest, "legendFormat": legend,
		})
	}
	return out
}

// defaults is how the panel shows all its fields.
func (p *panel) defaults() object {
	d := object{"unit": p.unit, "mappings": renderMappings(p.maps), "thresholds": thresholds(p.base, p.steps)}
	d["color"] = object{"mode": p.colourMode()}
	if custom := p.custom(); custom != nil {
		d["custom"] = custom
	}
	if p.lowest != nil {
		d["min"] = *p.lowest
	}
	if p.highest != nil {
		d["max"] = *p.highest
	}
	if p.decimals != nil {
		d["decimals"] = *p.decimals
	}
	if p.noValue != "" {
		d["noValue"] = p.noValue
	}
	if len(p.valueLinks) > 0 {
		d["links"] = renderLinks(p.valueLinks)
	}
	return d
}

func (p *panel) colourMode() string {
	if p.kind == kindLines {
		return "palette-classic"
	}
	return "thresholds"
}

// custom is what only one type of panel knows about fields.
func (p *panel) custom() object {
	shown := object{"legend": false, "tooltip": false, "viz": false}
	switch p.kind {
	case kindLines:
		return p.lineStyle(shown)
	case kindTable:
		return object{"align": "auto", "displayMode": "auto", "filterable": false, "inspect": false}
	case kindHeatmap:
		return object{"hideFrom": shown, "scaleDistribution": object{"type": "linear"}}
	case kindStateTimeline:
		return object{"fillOpacity": 70, "hideFrom": shown, "lineWidth": 0}
	}
	return nil
}

func (p *panel) lineStyle(shown object) object {
	stack, fill, line := "none", 8, "off"
	if p.stack {
		stack, fill = "normal", 30
	}
	if len(p.steps) > 0 {
		line = "line"
	}
	return object{
		"axisCenteredZero": false, "axisColorMode": "text", "axisLabel": "", "axisPlacement": "auto", "barAlignment": 0,
		"drawStyle": "line", "fillOpacity": fill, "gradientMode": "none", "hideFrom": shown,
		"lineInterpolation": "linear", "lineStyle": object{"fill": "solid"}, "lineWidth": 1, "pointSize": 4,
		"scaleDistribution": object{"type": "linear"}, "showPoints": "auto", "spanNulls": false,
		"stacking": object{"group": "A", "mode": stack}, "thresholdsStyle": object{"mode": line},
	}
}

// options is what only one type of panel knows about itself.
func (p *panel) options() object {
	newest := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.kind {
	case kindLines:
		return object{"legend": p.legendOptions(), "tooltip": object{"mode": "multi", "sort": "desc"}}
	case kindStat:
		return object{
			"colorMode": "background", "graphMode": p.graphMode(), "justifyMode": "auto", "orientation": "auto",
			"reduceOptions": newest, "textMode": "auto",
		}
	case kindGauge:
		return object{
			"orientation": "auto", "reduceOptions": newest, "showThresholdLabels": false, "showThresholdMarkers": true,
		}
	case kindBars:
		return object{
			"displayMode": "basic", "minVizHeight": 10, "minVizWidth": 0, "orientation": "horizontal",
			"reduceOptions": newest, "showUnfilled": true,
		}
	case kindTable:
		return p.tableOptions()
	case kindHeatmap:
		return p.heatmapOptions()
	case kindStateTimeline:
		return object{
			"alignValue": "left", "mergeValues": true, "rowHeight": 0.9, "showValue": "auto",
			"legend": p.legendOptions(), "tooltip": object{"mode": "single", "sort": "none"},
		}
	}
	return object{}
}

// graphMode draws the past behind a number, which a number that is a word has none of.
func (p *panel) graphMode() string {
	if len(p.maps) > 0 || p.instant {
		return "none"
	}
	return "area"
}

func (p *panel) legendOptions() object {
	if p.legend == "" {
		return object{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": true}
	}
	return object{"calcs": []string{"lastNotNull", "max"}, "displayMode": "table", "placement": p.legend, "showLegend": true}
}

func (p *panel) tableOptions() object {
	sort := []any{}
	if p.sortBy != "" {
		sort = append(sort, object{"desc": true, "displayName": p.sortBy})
	}
	return object{"showHeader": true, "sortBy": sort}
}

func (p *panel) heatmapOptions() object {
	return object{
		"calculate": false, "cellGap": 1, "cellValues": object{}, "showValue": "never",
		"color": object{
			"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false, "scale": "exponential", "scheme": "Oranges", "steps": 64,
		},
		"exemplars": object{"color": "rgba(255,0,255,0.7)"}, "filterValues": object{"le": 1e-9}, "legend": object{"show": true},
		"rowsFrame": object{"layout": "auto"}, "tooltip": object{"mode": "single", "show": true, "yHistogram": true},
		"yAxis": object{"axisPlacement": "left", "reverse": false, "unit": p.unit},
	}
}

// overrides show single fields otherwise than the rest.
func (p *panel) overrides() []any {
	out := []any{}
	for _, name := range slices.Sorted(maps.Keys(p.colours)) {
		out = append(out, override(name, property("color", object{"mode": "fixed", "fixedColor": p.colours[name]})))
	}
	for _, c := range p.columns {
		out = append(out, override(c.name, c.properties()...))
	}
	return out
}

func override(name string, properties ...any) object {
	return object{"matcher": object{"id": "byName", "options": name}, "properties": properties}
}

func property(id string, value any) any { return object{"id": id, "value": value} }

func (c *column) properties() (out []any) {
	if c.unit != "" {
		out = append(out, property("unit", c.unit))
	}
	if len(c.steps) > 0 || len(c.maps) > 0 {
		base := c.colour
		if base == "" {
			base = green
		}
		out = append(out, property("custom.displayMode", "color-background"), property("thresholds", thresholds(base, c.steps)))
	}
	if len(c.maps) > 0 {
		out = append(out, property("mappings", renderMappings(c.maps)))
	}
	if len(c.links) > 0 {
		out = append(out, property("links", renderLinks(c.links)))
	}
	return out
}

// transformations of a table: one row for each set of labels, readable names.
func (p *panel) transformations() (out []any) {
	if p.kind != kindTable {
		return nil
	}
	if p.matrix[0] != "" {
		return []any{object{"id": "groupingToMatrix", "options": object{
			"rowField": p.matrix[0], "columnField": p.matrix[1], "valueField": p.matrix[2],
		}}}
	}
	if len(p.queries) > 1 {
		out = append(out, object{"id": "merge", "options": object{}})
	}
	hidden := object{"Time": true}
	for _, name := range p.hidden {
		hidden[name] = true
	}
	return append(out, object{"id": "organize", "options": object{
		"excludeByName": hidden, "indexByName": object{}, "renameByName": renamed(p.renamed),
	}})
}

func renamed(names map[string]string) object {
	out := object{}
	for from, to := range names {
		out[from] = to
	}
	return out
}

// thresholds colours everything below the first step with base.
func thresholds(base string, steps []step) object {
	out := []any{object{"color": base, "value": nil}}
	for _, s := range steps {
		out = append(out, object{"color": s.colour, "value": s.value})
	}
	return object{"mode": "absolute", "steps": out}
}

func renderMappings(maps []mapping) []any {
	if len(maps) == 0 {
		return []any{}
	}
	options := object{}
	for i, m := range maps {
		options[m.value] = object{"color": m.colour, "index": i, "text": m.text}
	}
	return []any{object{"type": "value", "options": options}}
}

func renderLinks(links []link) []any {
	var out []any
	for _, l := range links {
		elsewhere := !strings.HasPrefix(l.url, "/")
		out = append(out, object{"title": l.title, "url": l.url, "targetBlank": elsewhere})
	}
	return out
}
