package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// project keeps the containers of this test apart from a cluster that somebody runs.
const project = "fanfare-test"

// stack is what docker-compose.yml starts.
type stack struct {
	program  []string // docker-compose, or the plugin
	environ  []string
	services []string // that were started
}

// startStack builds and starts the services of some profiles, "" for those that have
// none, and waits until they are healthy. All is taken down with its volumes when the
// test ends; when it fails the logs are shown.
func startStack(t *testing.T, environ []string, profiles ...string) *stack {
	t.Helper()
	s := &stack{program: []string{"docker-compose"}, environ: slices.Concat(os.Environ(), environ, []string{
		"FANFARE_NOFILE=" + openFiles(t), "FANFARE_VERSION=test", "COMPOSE_HTTP_TIMEOUT=300", "COMPOSE_PROFILES=ha,load",
	})}
	if _, err := exec.LookPath(s.program[0]); err != nil {
		s.program = []string{"docker", "compose"}
	}
	s.compose(t, "config", "--quiet")
	s.down(t) // what a run that was killed left
	t.Cleanup(func() {
		if t.Failed() {
			s.show(t, "ps", "--all")
			s.show(t, "logs", "--no-color", "--tail", "150")
		}
		s.down(t)
		s.wantNothingLeft(t)
	})
	start := time.Now()
	s.compose(t, "build", "secrets")
	t.Logf("built after %.0f s", time.Since(start).Seconds())
	for _, profile := range profiles {
		s.services = append(s.services, ofProfile(t, profile)...)
	}
	s.up(t)
	t.Logf("started after %.0f s", time.Since(start).Seconds())
	s.waitHealthy(t)
	t.Logf("all healthy after %.0f s", time.Since(start).Seconds())
	return s
}

// ofProfile lists the services of a profile, less those whose images have no stand-in.
func ofProfile(t *testing.T, profile string) (names []string) {
	t.Helper()
	for name, s := range load(t).Services {
		if strings.Join(s.Profiles, ",") == profile && (realImages() || repository(s.Image) != "grafana/grafana") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// realImages tells whether the images are those that docker-compose.yml names.
func realImages() bool { return os.Getenv("FANFARE_IMAGES") == "real" }

// up starts what is to run.
func (s *stack) up(t *testing.T) {
	t.Helper()
	s.compose(t, append([]string{"up", "--detach"}, s.services...)...)
}

// add starts the services of a profile too.
func (s *stack) add(t *testing.T, profile string) {
	t.Helper()
	s.services = append(s.services, ofProfile(t, profile)...)
	s.up(t)
	s.waitHealthy(t)
}

// openFiles is as many open files as docker-compose.yml wants, or as the containers
// may have here.
func openFiles(t *testing.T) string {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(min(262144, limit.Max), 10)
}

func (s *stack) command(ctx context.Context, args ...string) *exec.Cmd {
	line := append(slices.Clone(s.program), "--project-name", project, "--project-directory", root, "--file", filepath.Join(root, "docker-compose.yml"))
	line = append(line, args...)
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.Env = s.environ
	return c
}

// compose runs docker-compose and returns its standard output without the space
// around it.
func (s *stack) compose(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaints strings.Builder
	c := s.command(t.Context(), args...)
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		t.Fatalf("docker-compose %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), complaints.String())
	}
	return strings.TrimSpace(out.String())
}

// secret has one of the cluster's secrets printed.
func (s *stack) secret(t *testing.T, name string) string {
	t.Helper()
	return s.compose(t, "run", "--rm", "-T", "secrets", "--print", name)
}

// show prints what docker-compose says.
func (s *stack) show(t *testing.T, args ...string) {
	out, err := s.command(context.Background(), args...).CombinedOutput()
	t.Logf("docker-compose %s: %v\n%s", strings.Join(args, " "), err, out)
}

func (s *stack) down(t *testing.T) {
	t.Helper()
	out, err := s.command(context.Background(), "down", "--volumes", "--remove-orphans", "--timeout", "5").CombinedOutput()
	if err != nil {
		t.Errorf("docker-compose down: %v\n%s", err, out)
	}
}

func (s *stack) wantNothingLeft(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"ps", "--all", "--quiet"}, {"volume", "ls", "--quiet"}, {"network", "ls", "--quiet"}} {
		args = append(args, "--filter", "label=com.docker.compose.project="+project)
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("after down, docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// showMemory prints what the processes of each service have in memory. Docker's own
// figures need control groups for memory, which not every machine of tests has.
func (s *stack) showMemory(t *testing.T) {
	t.Helper()
	var table strings.Builder
	for _, name := range slices.Sorted(slices.Values(s.services)) {
		id := s.compose(t, "ps", "--quiet", name)
		if load(t).Services[name].HealthCheck == nil || id == "" {
			continue
		}
		total := 0
		for line := range strings.Lines(s.docker(t, "top", id, "-eo", "pid,rss")) {
			if fields := strings.Fields(line); len(fields) == 2 {
				kilobytes, _ := strconv.Atoi(fields[1]) // not of the heading
				total += kilobytes
			}
		}
		fmt.Fprintf(&table, "%-26s %4d MB of %4d MB\n", name, (total+512)/1024, int64(load(t).Services[name].MemLimit)>>20)
	}
	t.Logf("in memory:\n%s", &table)
}

// container is what Docker says of one.
type container struct {
	State struct {
		Status    string
		StartedAt string
		ExitCode  int
		Health    *struct{ Status string }
	}
	Config       struct{ Labels map[string]string }
	RestartCount int
}

// containers asks Docker for all of them, by service.
func (s *stack) containers(t *testing.T) map[string]container {
	t.Helper()
	ids := strings.Fields(s.docker(t, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+project))
	var list []container
	if err := json.Unmarshal([]byte(s.docker(t, append([]string{"inspect"}, ids...)...)), &list); err != nil {
		t.Fatal(err)
	}
	services := map[string]container{}
	for _, c := range list {
		services[c.Config.Labels["com.docker.compose.service"]] = c
	}
	return services
}

func (s *stack) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// waitHealthy waits until the named services, or all that were started, are healthy, or
// have ended well if they are to end.
func (s *stack) waitHealthy(t *testing.T, names ...string) {
	t.Helper()
	if len(names) == 0 {
		names = s.services
	}
	wanted := load(t).Services
	eventually(t, 3*time.Minute, "services are healthy", func() error {
		services := s.containers(t)
		for _, name := range names {
			if n := services[name].RestartCount; n > 3 {
				t.Fatalf("%s was started again %d times", name, n)
			}
			if err := services[name].well(wanted[name].HealthCheck == nil); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

func (c container) well(ends bool) error {
	switch {
	case ends && c.State.Status == "exited" && c.State.ExitCode == 0:
		return nil
	case !ends && c.State.Health != nil && c.State.Health.Status == "healthy":
		return nil
	}
	health := "none"
	if c.State.Health != nil {
		health = c.State.Health.Status
	}
	return fmt.Errorf("status %q, exit code %d, health %s", c.State.Status, c.State.ExitCode, health)
}

// eventually polls until check returns nil.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", within, what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
