package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// longestMetrics bounds a page of metrics.
const longestMetrics = 4 << 20

// metrics is a page of the Prometheus text format: the value of each series, by
// its name with its labels as written.
type metrics map[string]float64

// fetchMetrics reads the page at url.
func fetchMetrics(ctx context.Context, url string) (metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	request.Header.Set("Accept", "text/plain")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for metrics: %s", url, response.Status)
	}
	return parseMetrics(io.LimitReader(response.Body, longestMetrics))
}

// parseMetrics reads samples without timestamps and skips comments.
func parseMetrics(r io.Reader) (metrics, error) {
	page := metrics{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			return nil, fmt.Errorf("read metrics: %q has no value", line)
		}
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %q: %w", line, err)
		}
		page[strings.TrimSpace(line[:cut])] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return page, nil
}

// sum adds the series of a metric over all its labels.
func (m metrics) sum(name string) float64 {
	total := m[name]
	for series, value := range m {
		if strings.HasPrefix(series, name+"{") {
			total += value
		}
	}
	return total
}

// byLabel is the value of each series of a metric that has this one label.
func (m metrics) byLabel(name, label string) map[string]float64 {
	values := map[string]float64{}
	prefix := name + "{" + label + `="`
	for series, value := range m {
		if rest, found := strings.CutPrefix(series, prefix); found {
			values[strings.TrimSuffix(rest, `"}`)] = value
		}
	}
	return values
}
