package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
)

// claim is what a node writes below /<namespace>/fanfare/nodes to have its id alone.
type claim struct {
	ID      string    `json:"id"`
	Gateway string    `json:"gateway"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

func newClaim(self Peer) claim {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return claim{ID: self.ID, Gateway: self.Gateway, Host: host, PID: os.Getpid(), Since: time.Now().UTC()}
}

// takenError says who has an id.
func takenError(id string, data []byte) error {
	var c claim
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%w: %s is claimed in the registry by somebody who does not say who; set another node.id", ErrTaken, id)
	}
	return fmt.Errorf("%w: %s is held by the node with gateway %s, process %d on host %s since %s; stop it or set another node.id",
		ErrTaken, id, c.Gateway, c.PID, c.Host, c.Since.UTC().Format(time.RFC3339))
}

// earlier reports whether data is a claim of an earlier life of this node: it listened
// on the same address of the same host, where this process listens now.
func (c claim) earlier(data []byte) bool {
	var old claim
	return json.Unmarshal(data, &old) == nil && old.ID == c.ID && old.Gateway == c.Gateway && old.Host == c.Host
}

// takeClaim makes the claim, or returns the error that says who has it. first allows
// to take it from an earlier life: later on a claim of the same address is that of
// another process which took ours for one.
func (a *zkAnnouncer) takeClaim(n *zkNode, link zkLink, mine claim, first bool) error {
	for range 3 { // whoever has it may go in between
		err := a.z.createEphemeral(n.path, n.want)
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		data, stat, err := a.z.watchedGet(n.path, &n.watched, link) // to hear when it goes
		switch {
		case errors.Is(err, zk.ErrNoNode):
			n.watched = 0
		case err != nil:
			return err
		case stat.EphemeralOwner == link.session:
			return nil // the answer to the first attempt was lost
		case a.sessions[stat.EphemeralOwner] || first && stat.EphemeralOwner != 0 && mine.earlier(data):
			a.z.log.Info("taking over from an earlier life of this node", "id", mine.ID)
			if err := a.z.removeEntries(mine.ID, stat.EphemeralOwner); err != nil {
				return err
			}
			if err := a.z.conn.Delete(n.path, stat.Version); err != nil && !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrBadVersion) {
				return err
			}
		default:
			return takenError(mine.ID, data)
		}
	}
	return fmt.Errorf("%w: %s comes and goes in the registry", ErrTaken, mine.ID)
}

// removeEntries removes what a node with this id announced in a session, devices first.
func (z *ZooKeeper) removeEntries(id string, session int64) error {
	for s := numServices - 1; s >= 0; s-- {
		folder := z.paths.service(service(s))
		names, _, err := z.conn.Children(folder)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := z.removeEntry(folder+"/"+name, id, session); err != nil {
				return err
			}
		}
	}
	return nil
}

func (z *ZooKeeper) removeEntry(path, id string, session int64) error {
	data, stat, err := z.conn.Get(path)
	if err != nil {
		if disconnected(err) {
			return err
		}
		return nil // it went, or is not ours to read
	}
	node, err := parseZnode(data)
	if err != nil || node.text(attrID) != id || stat.EphemeralOwner != session {
		return nil
	}
	if err := z.conn.Delete(path, stat.Version); err != nil && disconnected(err) {
		return err
	}
	return nil
}

func (z *ZooKeeper) createEphemeral(path string, data []byte) error {
	_, err := z.conn.Create(path, data, zk.FlagEphemeral, zk.AuthACL(zk.PermAll))
	if errors.Is(err, zk.ErrNoNode) {
		if err = z.makeParents(); err == nil {
			_, err = z.conn.Create(path, data, zk.FlagEphemeral, zk.AuthACL(zk.PermAll))
		}
	}
	return err
}
