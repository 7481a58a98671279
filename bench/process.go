package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// stopPatience is how long a child may take to end by itself before it is killed.
	stopPatience = 10 * time.Second
	keptOutput   = 16 << 10
)

// process is a child that this process started and therefore may end.
type process struct {
	name   string
	cmd    *exec.Cmd
	said   *tail         // the end of its standard error, and output if nobody reads it
	exited chan struct{} // closed once it was waited for
	err    error         // why it ended; valid after exited
}

// streams connect a child; each may be nil: no input, output kept with the errors,
// the environment of this process.
type streams struct {
	in  io.Reader
	out io.Writer
	env []string
}

// startProcess runs exe. It ends with the context: asked first, killed after
// [stopPatience].
func startProcess(ctx context.Context, name, exe string, args []string, with streams) (*process, error) {
	p := &process{name: name, said: &tail{limit: keptOutput}, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, exe, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = with.in, with.out, p.said, with.env
	if with.out == nil {
		p.cmd.Stdout = p.said
	}
	p.cmd.Cancel = p.terminate
	p.cmd.WaitDelay = stopPatience
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// terminate asks the process to end, or ends it where asking is not known.
func (p *process) terminate() error {
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		return nil
	}
	return p.cmd.Process.Kill()
}

// stop ends the process and waits for it.
func (p *process) stop() {
	select {
	case <-p.exited:
		return
	default:
	}
	p.terminate() // it may just have ended: then there is nothing to ask
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-p.exited:
	case <-patience.C:
		p.cmd.Process.Kill() // fails only if it has ended
		<-p.exited
	}
}

// died describes an end that nobody asked for, with the last words.
func (p *process) died() error {
	cause := p.err
	if cause == nil {
		cause = errors.New("it ended by itself")
	}
	words := strings.TrimSpace(p.said.String())
	if words == "" {
		return fmt.Errorf("%s: %w", p.name, cause)
	}
	return fmt.Errorf("%s: %w; it said:\n%s", p.name, cause, words)
}
