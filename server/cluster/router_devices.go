package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// Devices lists every device of a user that the cluster knows, online or not, by client
// type. Those of other nodes are as their routes tell; one whose node is gone is shown
// offline. When the store cannot be read there is an error, and the list holds the
// devices of this process's node.
func (r *Router) Devices(ctx context.Context, user string) ([]Device, error) {
	devices := r.devicesHere(user)
	all, err := r.read(ctx, []string{user})
	if err != nil {
		return devices, fmt.Errorf("routes of the user: %w", err)
	}
	for _, route := range all[0] {
		known := slices.ContainsFunc(devices, func(d Device) bool { return d.ClientType == route.ClientType })
		if d := r.describe(route); !known {
			devices = append(devices, d)
		} else if at, _ := r.directory.find(route.Address); route.Online && !at.local && d.Online {
			// Bound elsewhere by now: the one here is about to be kicked.
			devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ClientType == route.ClientType })
			devices = append(devices, d)
		}
	}
	slices.SortFunc(devices, func(a, b Device) int { return int(a.ClientType) - int(b.ClientType) })
	return devices, nil
}

// devicesHere are those bound to the node of this process.
func (r *Router) devicesHere(user string) []Device {
	if r.options.Local == nil {
		return nil
	}
	return slices.DeleteFunc(r.options.Local.Devices(user), func(d Device) bool { return !d.Online })
}

// describe makes a device of a route. One that leads here is offline: this node
// knows its devices better than the store.
func (r *Router) describe(route store.Route) Device {
	d := Device{
		ClientType: route.ClientType, Node: route.Node, Connection: route.Connection, Since: route.Since, Online: route.Online,
		DeviceID: route.DeviceID, OSName: route.OSName, OSVersion: route.OSVersion, ClientVersion: route.ClientVersion,
	}
	at, where := r.directory.find(route.Address)
	if where == present {
		d.Node = at.id
	} else if d.Node == "" {
		d.Node = route.Address
	}
	if where == gone || at.local {
		d.Online = false
	}
	if !d.Online {
		d.Connection = ""
	}
	return d
}

// Kick ends the user's connections of the given classes (none = all) on every node and
// returns how many it ended or told another node to end. The error, of the store, leaves
// out those of other nodes.
func (r *Router) Kick(ctx context.Context, user string, types ...protocol.ClientType) (int, error) {
	kicked := 0
	if r.options.Local != nil {
		kicked = r.options.Local.Kick(user, slices.Clone(types)...)
		if r.directory.alone() {
			return kicked, nil
		}
	}
	all, err := r.read(ctx, []string{user})
	if err != nil {
		return kicked, fmt.Errorf("routes of the user: %w", err)
	}
	for _, route := range all[0] {
		if !route.Online || len(types) > 0 && !slices.Contains(types, route.ClientType) {
			continue
		}
		if at, where := r.directory.find(route.Address); at.local || where == gone {
			continue
		}
		err := r.options.Store.SendKick(ctx, store.Kick{
			User: user, DeviceID: route.DeviceID, Connection: route.Connection, ClientType: route.ClientType, Address: route.Address})
		if err != nil {
			return kicked, fmt.Errorf("tell the node at %s to end a connection: %w", route.Address, err)
		}
		kicked++
	}
	return kicked, nil
}
