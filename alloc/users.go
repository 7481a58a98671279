package alloc

import (
	"net/http"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// userDevices is every device of a user that the nodes know.
type userDevices struct {
	User    string           `json:"user"`
	Devices []cluster.Device `json:"devices"`
}

type kickAnswer struct {
	Kicked int `json:"kicked"`
}

// serveUser lists the devices of a user. A user that nobody knows has none.
func (a *Allocator) serveUser(w http.ResponseWriter, r *http.Request) error {
	user, err := a.userOf(r)
	if err != nil {
		return err
	}
	devices, err := a.options.Router.Devices(r.Context(), user)
	if err != nil {
		return err
	}
	answer := userDevices{User: user, Devices: append([]cluster.Device{}, devices...)}
	return writeJSON(w, http.StatusOK, answer)
}

// serveKick ends the connections of a user, of one class or all.
func (a *Allocator) serveKick(w http.ResponseWriter, r *http.Request) error {
	user, err := a.userOf(r)
	if err != nil {
		return err
	}
	var name string
	seen, err := a.readOptional(w, r, map[string]value{"client_type": text(&name)})
	if err != nil {
		return err
	}
	var types []protocol.ClientType
	if seen["client_type"] {
		t, err := parseClientType("client_type", name)
		if err != nil {
			return err
		}
		types = append(types, t)
	}
	kicked, err := a.options.Router.Kick(r.Context(), user, types...)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, kickAnswer{kicked})
}

// userOf is the user in the path.
func (a *Allocator) userOf(r *http.Request) (string, error) {
	user := r.PathValue("user")
	return user, checkUser("user", user)
}

// readOptional reads a body that may be missing.
func (a *Allocator) readOptional(w http.ResponseWriter, r *http.Request, members map[string]value) (seen map[string]bool, err error) {
	err = a.limits.read(w, r, func(body []byte) error {
		if len(body) == 0 {
			return nil
		}
		seen, err = decodeObject(body, members)
		return err
	})
	return seen, err
}
