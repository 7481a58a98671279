package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// keeps is where each image keeps what must survive it.
var keeps = map[string]string{
	"redis": "/data", "zookeeper": "/data", "prom/prometheus": "/prometheus", "prom/alertmanager": "/alertmanager", "grafana/grafana": "/var/lib/grafana",
}

func TestVolumes(t *testing.T) {
	p := load(t)
	users := map[string][]string{} // of each volume
	for name, s := range p.Services {
		kept := ""
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeVolume:
				users[v.Source] = append(users[v.Source], name)
				if strings.HasSuffix(v.Source, "-data") {
					kept = v.Target
				}
			case types.VolumeTypeBind:
				checkBind(t, name, v)
			default:
				t.Errorf("%s: a volume of type %s", name, v.Type)
			}
			if strings.Contains(v.Target, "secrets") && !v.ReadOnly && !oneShot(p, name) {
				t.Errorf("%s may write to %s", name, v.Target)
			}
		}
		want := keeps[repository(s.Image)]
		if name == "dingtalk" {
			want = "/data"
		}
		if kept != want {
			t.Errorf("%s keeps its data at %q, want %q", name, kept, want)
		}
	}
	checkUsers(t, p, users)
}

// checkBind wants what is mounted of this tree to be there, for everybody to read and
// nobody to write.
func checkBind(t *testing.T, service string, v types.ServiceVolumeConfig) {
	t.Helper()
	if service == "node-exporter" && v.Source == "/" && v.ReadOnly {
		return // the host, to be measured
	}
	if dir, err := filepath.Abs(root); err != nil || !strings.HasPrefix(v.Source, dir+"/") {
		t.Errorf("%s: %s is not in this tree", service, v.Source)
	}
	i, err := os.Stat(v.Source)
	switch {
	case err != nil:
		t.Errorf("%s: %v", service, err)
	case !v.ReadOnly || i.Mode().Perm()&0o004 == 0:
		t.Errorf("%s: %s must be readable for everybody and mounted read-only", service, v.Source)
	case i.IsDir():
		if entries, err := os.ReadDir(v.Source); err != nil || len(entries) == 0 {
			t.Errorf("%s: the folder %s is empty: %v", service, v.Source, err)
		}
	case !strings.Contains(v.Source, "/configs/fanfare/"): // which is read at the start alone
		t.Errorf("%s: %s is a file; who replaces it leaves the container with the old one: mount its folder", service, v.Source)
	}
}

// checkUsers wants data to have one owner, and secrets only those that need them.
func checkUsers(t *testing.T, p *types.Project, users map[string][]string) {
	t.Helper()
	may := map[string]string{"redis-secrets": "secrets redis redis-exporter node alloc load", "grafana-secrets": "secrets grafana", "fanfare-secrets": "secrets node alloc load"}
	for name := range p.Volumes {
		switch list := users[name]; {
		case len(list) == 0:
			t.Errorf("no service uses the volume %s", name)
		case !strings.HasSuffix(name, "-secrets") && len(list) > 1:
			t.Errorf("the volume %s has several users: %v", name, list)
		case strings.HasSuffix(name, "-secrets"):
			for _, user := range list {
				kind := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(user, "-leader"), "-follower"), "-123")
				if !strings.Contains(" "+may[name]+" ", " "+kind+" ") {
					t.Errorf("%s sees %s", user, name)
				}
			}
		}
	}
	for name := range users {
		if _, ok := p.Volumes[name]; !ok {
			t.Errorf("the volume %s is not declared", name)
		}
	}
}
