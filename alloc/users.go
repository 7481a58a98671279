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
	user, nodes, err := a.userOf(r)
	if err != nil {
		return err
	}
	answer := userDevices{User: user, Devices: []cluster.Device{}}
	for _, n := range nodes {
		answer.Devices = append(answer.Devices, n.Devices(user)...)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// serveKick ends the connections of a user, of one class or all.
func (a *Allocator) serveKick(w http.ResponseWriter, r *http.Request) error {
	user, nodes, err := a.userOf(r)
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
	var answer kickAnswer
	for _, n := range nodes {
		answer.Kicked += n.Kick(user, types...)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// userOf is the user in the path and the nodes to ask.
func (a *Allocator) userOf(r *http.Request) (string, []node, error) {
	user := r.PathValue("user")
	if err := checkUser("user", user); err != nil {
		return "", nil, err
	}
	members, ok := a.options.Members.List()
	if !ok {
		return "", nil, unknownMembership()
	}
	return user, reachable(members), nil
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
