package alloc

import (
	"fmt"
	"net/http"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// userDevices is every device of a user that the nodes know.
type userDevices struct {
	User    string           `json:"user"`
	Devices []cluster.Device `json:"devices"`
}

// kickAnswer counts the connections that were ended or whose nodes were told to.
type kickAnswer struct {
	Kicked int `json:"kicked"`
}

// storeWait bounds how long a call waits for the store.
const storeWait = 5 * time.Second

// serveUser lists the devices of a user. A user that nobody knows has none.
func (a *Allocator) serveUser(w http.ResponseWriter, r *http.Request) error {
	user, err := a.userOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := a.until(r, storeWait)
	defer cancel()
	devices, err := a.options.Router.Devices(ctx, user)
	if err != nil {
		return a.storeAway(r, err)
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
	ctx, cancel := a.until(r, storeWait)
	defer cancel()
	kicked, err := a.options.Router.Kick(ctx, user, types...)
	if err != nil {
		p := a.storeAway(r, err)
		p.Detail = fmt.Sprintf("%s; connections that were ended or told to end before: %d", p.Detail, kicked)
		return p
	}
	return writeJSON(w, http.StatusOK, kickAnswer{kicked})
}

// storeAway is the answer to a call that the store was needed for. What is wrong with
// the store is for the log, once a second however many ask.
func (a *Allocator) storeAway(r *http.Request, err error) *problem {
	if r.Context().Err() == nil { // else the caller is gone, which says nothing of the store
		a.storeLog.Do(func() { a.log.Warn("a request needed the store, which does not work", "path", r.URL.Path, "err", err) })
	}
	p := refuse(http.StatusServiceUnavailable, "store_unavailable", "the store that knows where users are connected does not answer")
	p.retryAfter = time.Second
	return p
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
