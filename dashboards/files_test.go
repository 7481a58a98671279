package dashboards

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFilesAreGenerated compares what is committed with what the definitions give.
func TestFilesAreGenerated(t *testing.T) {
	var want []string
	for _, d := range All() {
		want = append(want, d.File())
		got, err := os.ReadFile(filepath.FromSlash(d.File()))
		if err != nil {
			t.Errorf("%v; run make dashboards", err)
			continue
		}
		text, err := d.JSON(Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, text) {
			t.Errorf("%s is not what the definition gives; run make dashboards", d.File())
		}
	}
	var have []string
	for _, g := range []Grafana{Leader, Follower} {
		files, err := filepath.Glob(filepath.Join(string(g), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			have = append(have, filepath.ToSlash(f))
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the folders hold %v, the definitions are %v", have, want)
	}
}

func TestJSONIsTheSameEachTime(t *testing.T) {
	for _, d := range All() {
		first, err := d.JSON(Settings{})
		if err != nil {
			t.Fatal(err)
		}
		again, ok := Find(d.UID)
		if !ok {
			t.Fatalf("%s was not found", d.UID)
		}
		second, err := again.JSON(Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs between two renderings", d.UID)
		}
	}
}

func TestWriteWritesEveryDashboard(t *testing.T) {
	dir := t.TempDir()
	files, err := Write(dir, Settings{FollowerURL: "https://grafana.example.org/detail"})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(All()) {
		t.Fatalf("%d files for %d dashboards", len(files), len(All()))
	}
	text, err := os.ReadFile(filepath.Join(dir, "leader", "fanfare-overview.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("https://grafana.example.org/detail")) || bytes.Contains(text, []byte(DefaultFollowerURL)) {
		t.Error("the URL of the other Grafana was not written")
	}
	if _, err := Write(filepath.Join(dir, "leader", "fanfare-overview.json"), Settings{}); err == nil {
		t.Error("writing below a file succeeded")
	}
}
