package admin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// session is one operator.
type session struct {
	c        *Console
	nc       net.Conn
	in       *bufio.Reader
	known    bool // gave the password, or needs none
	attempts int
}

func newSession(c *Console, nc net.Conn) *session {
	return &session{c: c, nc: nc, in: bufio.NewReaderSize(nc, maxLine), known: c.options.Password == ""}
}

// errBye ends a session in the ordinary way.
var errBye = errors.New("bye")

func (s *session) run() error {
	if err := s.say(s.banner()); err != nil {
		return err
	}
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		switch err := s.handle(line); {
		case errors.Is(err, errBye):
			return nil
		case err != nil:
			return err
		}
	}
}

// banner is MPush's: three lines, one of them empty.
func (s *session) banner() string {
	host, _, _ := net.SplitHostPort(s.nc.LocalAddr().String()) // always host and port
	now := s.c.options.Now()
	hours := int(now.Sub(s.c.started).Hours())
	return fmt.Sprintf("Welcome to MPush Console [%s]!\r\nsince %s has running %d(h)\r\n\r\nIt is %s now.",
		host, s.c.started.Format("2006-01-02T15:04:05.000000"), hours, now.Format("Mon Jan 02 15:04:05 MST 2006"))
}

// line reads one line. One that is too long is skipped, as in MPush.
func (s *session) line() (string, error) {
	for skipping := false; ; {
		if err := s.nc.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return "", fmt.Errorf("waiting for a command: %w", err)
		}
		part, err := s.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			skipping = true
		case err == io.EOF:
			return "", io.EOF
		case err != nil:
			return "", fmt.Errorf("reading a command: %w", err)
		case skipping:
			skipping = false
		default:
			return strings.TrimRight(string(part), "\r\n"), nil
		}
	}
}

// say sends an answer; the empty line that ends it is added.
func (s *session) say(text string) error {
	if err := s.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	if _, err := io.WriteString(s.nc, text+"\r\n\r\n"); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// handle answers one line.
func (s *session) handle(line string) error {
	words := strings.Split(line, " ")
	option := strings.ToLower(words[0])
	if !s.known {
		return s.authenticate(option, words)
	}
	if line != "" && strings.Trim(line, " ") == "" {
		return nil // MPush answers nothing either
	}
	command, ok := s.c.commands[option]
	if !ok || option == "" && line != "" {
		return s.say("unsupported option")
	}
	s.c.options.Logger.Info("admin command", "command", option, "peer", s.nc.RemoteAddr().String())
	answer, err := command.run(s.c, arguments(words[1:]))
	if errors.Is(err, errBye) {
		return errors.Join(s.say(answer), err)
	}
	return s.say(answer)
}

// authenticate lets nothing but the password and a goodbye through.
func (s *session) authenticate(option string, words []string) error {
	switch {
	case option == "quit":
		return errors.Join(s.say(goodbye), errBye)
	case option == "auth" && len(words) == 2 && s.c.knows(words[1]):
		s.known = true
		return s.say("welcome")
	}
	s.attempts++
	if option == "auth" {
		s.c.options.Logger.Warn("admin console: wrong password", "peer", s.nc.RemoteAddr().String())
	}
	if s.attempts >= maxAttempts {
		return errors.Join(s.say("too many attempts"), errBye)
	}
	return s.say("say who you are first: auth <password>")
}

// arguments is what stands behind a command. MPush knows commands of one argument
// only, and takes several for none.
type arguments []string

// one is the only argument, empty if there is none or more.
func (a arguments) one() string {
	if len(a) != 1 {
		return ""
	}
	return a[0]
}
