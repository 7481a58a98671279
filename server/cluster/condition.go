package cluster

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"
)

// Bounds of a condition. They are far above what a filter needs.
const (
	maxConditionBytes = 4 << 10
	maxConditionTime  = 20 * time.Millisecond // for one connection
	maxFactBytes      = 16 << 10
)

// secondTry is how many times longer an evaluation may take that took too long once: a
// busy machine can hold up the shortest for longer than maxConditionTime.
const secondTry = 5

// ErrCondition: a condition cannot be used; the text says where it is wrong.
var ErrCondition = errors.New("bad condition")

// Compile reads a condition as MPush users write it: a JavaScript expression over
// userId, tags, clientVersion, osName and osVersion, each a string or null, such as
//
//	tags != null && tags.indexOf("vip") != -1
//	userId % 100 < 20
//
// It holds for a connection when the result is true; anything else, an exception
// included, is false for that connection. Only the part of the language that compares
// values and looks into text is allowed: no functions, no assignments, no objects, no
// way to the machine, nothing that takes memory or time out of proportion. Patterns are
// matched in time proportional to the text. An evaluation that takes longer than 20 ms
// all the same, and 100 ms when it is tried once more, ends the condition: it holds for
// nobody any more, and [GivenUp] tells.
func Compile(text string) (Condition, error) {
	if len(text) > maxConditionBytes {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrCondition, maxConditionBytes)
	}
	tree, patterns, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCondition, err)
	}
	program, err := goja.CompileAST(tree, true)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCondition, err)
	}
	return &script{text: text, program: program, patterns: patterns, limit: maxConditionTime}, nil
}

// GivenUp reports that a condition made by [Compile] ran into its time limit, so that it
// holds for nobody any more. It is false for any other, and for nil.
func GivenUp(c Condition) bool {
	s, ok := c.(*script)
	return ok && s.givenUp.Load()
}

// script is a compiled condition.
type script struct {
	text     string
	program  *goja.Program // makes the function that is called with the facts
	patterns []*pattern
	limit    time.Duration // for one connection
	givenUp  atomic.Bool
	machines sync.Pool // of *machine
}

// String implements [Condition].
func (c *script) String() string { return c.text }

// Match implements [Condition].
func (c *script) Match(f Facts) bool {
	if c.givenUp.Load() || max(len(f.User), len(f.Tags), len(f.ClientVersion), len(f.OSName), len(f.OSVersion)) > maxFactBytes {
		return false
	}
	held, inTime := c.evaluate(&f, c.limit)
	if !inTime {
		if held, inTime = c.evaluate(&f, secondTry*c.limit); !inTime {
			c.givenUp.Store(true)
		}
	}
	return held
}

// machine runs a condition for one goroutine at a time.
type machine struct {
	vm    *goja.Runtime
	holds goja.Callable
	watch *time.Timer // interrupts vm
}

func (c *script) newMachine() *machine {
	m := &machine{vm: goja.New()}
	addPatterns(m.vm, c.patterns)
	function, err := m.vm.RunProgram(c.program)
	if err != nil {
		return nil // an expression that makes a function cannot fail
	}
	m.holds, _ = goja.AssertFunction(function)
	m.watch = time.AfterFunc(time.Hour, func() { m.vm.Interrupt("too slow") })
	m.watch.Stop()
	return m
}

// evaluate asks once; inTime is false if it was interrupted.
func (c *script) evaluate(f *Facts, limit time.Duration) (held, inTime bool) {
	m, _ := c.machines.Get().(*machine)
	if m == nil {
		if m = c.newMachine(); m == nil || m.holds == nil {
			return false, true
		}
	}
	m.watch.Reset(limit)
	result, err := m.holds(goja.Undefined(), m.value(f.User), m.value(f.Tags), m.value(f.ClientVersion), m.value(f.OSName), m.value(f.OSVersion))
	if !m.watch.Stop() {
		return false, false // the machine is not used again: its interrupt may still come
	}
	c.machines.Put(m)
	if err != nil {
		return false, true
	}
	is, isBool := result.Export().(bool)
	return is && isBool, true
}

func (m *machine) value(s string) goja.Value {
	if s == "" {
		return goja.Null()
	}
	return m.vm.ToValue(s)
}
