package dashboards

// kind is a type of panel. All of them are part of Grafana itself.
type kind string

const (
	kindRow           kind = "row"
	kindLines         kind = "timeseries"
	kindStat          kind = "stat"
	kindGauge         kind = "gauge"
	kindBars          kind = "bargauge"
	kindTable         kind = "table"
	kindHeatmap       kind = "heatmap"
	kindStateTimeline kind = "state-timeline"
)

// Units of values, in Grafana's names for them.
const (
	unitNone     = "none"
	unitCount    = "short"
	unitPerSec   = "ops"
	unitEvents   = "cps"
	unitRequests = "reqps"
	unitSeconds  = "s"
	unitBytes    = "bytes"
	unitByteRate = "Bps"
	unitRatio    = "percentunit"
	unitCores    = "suffix: cores"
	unitText     = "string"
)

// Colours of thresholds and states.
const (
	green  = "green"
	yellow = "yellow"
	orange = "orange"
	red    = "red"
	blue   = "blue"
	grey   = "#808080"
)

// query is one question to the data source.
type query struct {
	expr   string
	legend string // in Grafana's form, {{label}}
	// mayBeEmpty says why an answer without a series is right. Without it an empty
	// answer under traffic is a mistake.
	mayBeEmpty string
}

// q is a query with its legend.
func q(expr, legend string) query { return query{expr: expr, legend: legend} }

// orEmpty says why the query may have no answer.
func (q query) orEmpty(why string) query { q.mayBeEmpty = why; return q }

// step is a threshold: from value on the colour holds.
type step struct {
	value  float64
	colour string
}

// link leads from a panel, or from a value in it, to another place.
type link struct{ title, url string }

// column overrides how a table shows one field.
type column struct {
	name   string // as the table shows it
	unit   string
	steps  []step
	colour string // of what lies below the first step
	maps   []mapping
	links  []link
}

// mapping shows a value as a word.
type mapping struct {
	value  string
	text   string
	colour string
}

// panel is one panel of a dashboard, before it is placed.
type panel struct {
	kind            kind
	title, titleZH  string
	about, aboutZH  string
	width, height   int // in Grafana's grid, which is 24 wide
	unit            string
	decimals        *int
	lowest, highest *float64
	base            string // colour below the first step
	steps           []step
	maps            []mapping
	queries         []query
	stack           bool
	legend          string // placement; empty: below, without numbers
	colours         map[string]string
	links           []link // of the panel
	valueLinks      []link // of each value
	columns         []column
	hidden          []string // fields a table does not show
	renamed         map[string]string
	matrix          [3]string // row, column and value of a table turned into a matrix
	sortBy          string
	instant         bool // asks for the newest value only
	noValue         string
}

// about is a text in both languages.
type about struct{ en, zh string }

func newPanel(k kind, title, titleZH string, a about, unit string, width, height int, queries []query) panel {
	return panel{
		kind: k, title: title, titleZH: titleZH, about: a.en, aboutZH: a.zh, unit: unit,
		width: width, height: height, base: green, queries: queries,
	}
}

// lines is a diagram over time.
func lines(title, titleZH string, a about, unit string, queries ...query) panel {
	p := newPanel(kindLines, title, titleZH, a, unit, 12, 8, queries)
	zero := 0.0
	p.lowest = &zero
	return p
}

// stat is one big number, or one for each series.
func stat(title, titleZH string, a about, unit string, queries ...query) panel {
	return newPanel(kindStat, title, titleZH, a, unit, 4, 4, queries)
}

// gauge is a number between two bounds.
func gauge(title, titleZH string, a about, unit string, highest float64, queries ...query) panel {
	p := newPanel(kindGauge, title, titleZH, a, unit, 6, 7, queries)
	zero := 0.0
	p.lowest, p.highest = &zero, &highest
	return p
}

// bars compare the newest values of several series.
func bars(title, titleZH string, a about, unit string, queries ...query) panel {
	p := newPanel(kindBars, title, titleZH, a, unit, 12, 8, queries)
	zero := 0.0
	p.lowest = &zero
	return p
}

// table lists the newest values.
func table(title, titleZH string, a about, unit string, queries ...query) panel {
	return newPanel(kindTable, title, titleZH, a, unit, 12, 8, queries)
}

// heatmap shows the buckets of a histogram over time.
func heatmap(title, titleZH string, a about, unit string, queries ...query) panel {
	return newPanel(kindHeatmap, title, titleZH, a, unit, 12, 9, queries)
}

// states shows over time which of a few states something was in.
func states(title, titleZH string, a about, maps []mapping, queries ...query) panel {
	p := newPanel(kindStateTimeline, title, titleZH, a, unitNone, 12, 8, queries)
	p.maps = maps
	return p
}

// row starts a section.
func row(title, titleZH string) panel {
	return panel{kind: kindRow, title: title, titleZH: titleZH, width: 24, height: 1}
}

func (p panel) size(width, height int) panel { p.width, p.height = width, height; return p }

// rising colours values that are bad when they are high; the pairs rise.
func (p panel) rising(steps ...step) panel { p.steps = steps; return p }

// falling colours values that are bad when they are low: below the first step they are red.
func (p panel) falling(steps ...step) panel { p.base, p.steps = red, steps; return p }

// neutral takes the colour of good and bad away.
func (p panel) neutral() panel { p.base = blue; return p }

func (p panel) stacked() panel { p.stack = true; return p }

// numbers lists the series at the right, with their newest and highest values.
func (p panel) numbers() panel { p.legend = "right"; return p }

func (p panel) digits(n int) panel { p.decimals = &n; return p }

// upTo fixes the upper end of the axis.
func (p panel) upTo(highest float64) panel { p.highest = &highest; return p }

// from fixes the lower end of the axis.
func (p panel) from(lowest float64) panel { p.lowest = &lowest; return p }

// anySign lets the axis start below zero.
func (p panel) anySign() panel { p.lowest = nil; return p }

// newest asks for the newest value only, for queries that cost too much to draw.
func (p panel) newest() panel { p.instant = true; return p }

// paint gives series, by their legend, a colour.
func (p panel) paint(colours map[string]string) panel { p.colours = colours; return p }

func (p panel) mapped(maps ...mapping) panel { p.maps = maps; return p }

func (p panel) to(links ...link) panel { p.links = append(p.links, links...); return p }

// each adds links to every value; their URLs may use ${__field.labels.x}.
func (p panel) each(links ...link) panel { p.valueLinks = append(p.valueLinks, links...); return p }

func (p panel) with(columns ...column) panel { p.columns = columns; return p }

func (p panel) hide(fields ...string) panel { p.hidden = fields; return p }

func (p panel) rename(names map[string]string) panel { p.renamed = names; return p }

func (p panel) sorted(field string) panel { p.sortBy = field; return p }

// grid turns a table of one query into a matrix by two of its labels.
func (p panel) grid(row, column string) panel { p.matrix = [3]string{row, column, "Value"}; return p }

// without is what is shown when there is no value.
func (p panel) without(text string) panel { p.noValue = text; return p }
