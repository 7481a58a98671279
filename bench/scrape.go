package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// scrapes is how often the page of metrics is fetched to say what that takes.
const scrapes = 20

// ScrapeReport is what it takes to fetch the page of metrics as Prometheus does, over a
// connection that is open and compressed.
type ScrapeReport struct {
	Milliseconds Spread `json:"milliseconds"` // until the last byte
	Bytes        int64  `json:"bytes"`        // of the page
	Sent         int64  `json:"sent_bytes"`   // as they went over the network
	Series       int    `json:"series"`
}

// scrapePage measures the page at url.
func scrapePage(ctx context.Context, url string) (r ScrapeReport, err error) {
	page, err := fetchMetrics(ctx, url)
	if err != nil {
		return r, err
	}
	r.Series = len(page)
	if r.Bytes, _, err = scrapeOnce(ctx, url, "identity"); err != nil {
		return r, err
	}
	took := make([]float64, scrapes)
	for i := range took {
		var d time.Duration
		if r.Sent, d, err = scrapeOnce(ctx, url, "gzip"); err != nil {
			return r, err
		}
		took[i] = float64(d.Microseconds()) / 1000
	}
	r.Milliseconds = spreadOf(took)
	return r, nil
}

// scrapeOnce fetches the page in an encoding and does not read it.
func scrapeOnce(ctx context.Context, url, encoding string) (size int64, took time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("scrape: %w", err)
	}
	request.Header.Set("Accept", "text/plain")
	request.Header.Set("Accept-Encoding", encoding) // asked for by us, it is left as it comes
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, fmt.Errorf("scrape: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("scrape %s: %s", url, response.Status)
	}
	if size, err = io.Copy(io.Discard, io.LimitReader(response.Body, longestMetrics)); err != nil {
		return 0, 0, fmt.Errorf("scrape: %w", err)
	}
	return size, time.Since(began), nil
}
