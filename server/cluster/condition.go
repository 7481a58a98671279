package cluster

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// Bounds of a condition. They are far above what a filter needs.
const (
	maxConditionBytes = 4 << 10
	maxConditionTime  = 20 * time.Millisecond // for one connection
)

// ErrCondition: a condition cannot be used; the text says where it is wrong.
var ErrCondition = errors.New("bad condition")

// Compile reads a condition as MPush users write it: a JavaScript expression over
// userId, tags, clientVersion, osName and osVersion, each a string or null, such as
//
//	tags != null && tags.indexOf("vip") != -1
//	userId % 100 < 20
//
// It holds for a connection when the result is true; anything else, an exception
// included, is false. Only the part of the language that compares values and looks
// into text is allowed: no functions, no assignments, no objects, no way to the machine,
// nothing that takes memory out of proportion. An evaluation that takes longer than
// 20 ms is false, and then the condition is false for all connections after it.
func Compile(text string) (Condition, error) {
	if len(text) > maxConditionBytes {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrCondition, maxConditionBytes)
	}
	tree, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCondition, err)
	}
	program, err := goja.CompileAST(tree, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCondition, err)
	}
	c := &script{program: program, text: text}
	c.machines.New = func() any { return goja.New() }
	return c, nil
}

// script is a compiled condition. A JavaScript machine serves one goroutine at a
// time, so there are as many as evaluate at once.
type script struct {
	text     string
	program  *goja.Program
	machines sync.Pool

	mu    sync.Mutex
	stuck bool // it ran into the time limit
}

// String implements [Condition].
func (c *script) String() string { return c.text }

// Match implements [Condition].
func (c *script) Match(f Facts) bool {
	c.mu.Lock()
	stuck := c.stuck
	c.mu.Unlock()
	if stuck {
		return false
	}
	vm := c.machines.Get().(*goja.Runtime)
	for name, value := range map[string]string{
		"userId": f.User, "tags": f.Tags, "clientVersion": f.ClientVersion, "osName": f.OSName, "osVersion": f.OSVersion,
	} {
		if err := vm.Set(name, orNull(value)); err != nil {
			return false
		}
	}
	watch := time.AfterFunc(maxConditionTime, func() { vm.Interrupt("too slow") })
	result, err := vm.RunProgram(c.program)
	if !watch.Stop() {
		c.mu.Lock()
		c.stuck = true
		c.mu.Unlock()
		return false // the machine is not used again: its interrupt may still come
	}
	c.machines.Put(vm)
	if err != nil {
		return false
	}
	held, isBool := result.Export().(bool)
	return isBool && held
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
