package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestObeyAnswersEachOrder(t *testing.T) {
	read, write := io.Pipe()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- obey(t.Context(), read, newTeller(&out), func(_ context.Context, o order) (event, error) {
			return event{Devices: o.Devices + 1}, nil
		})
	}()
	io.WriteString(write, `{"op":"connect","devices":1}`+"\n"+`{"op":"vanish","devices":5}`+"\n")
	write.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := `{"op":"connect","devices":2}` + "\n" + `{"op":"vanish","devices":6}` + "\n"
	if out.String() != want {
		t.Errorf("answers %q, want %q", out.String(), want)
	}
}

func TestObeyEnds(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context, order) (event, error) { return event{}, broken }
	var out bytes.Buffer
	if err := obey(t.Context(), strings.NewReader(`{"op":"report"}`+"\n"), newTeller(&out), fail); err != nil && err != broken {
		t.Errorf("a failed order: %v", err)
	}
	if err := obey(t.Context(), strings.NewReader("nonsense\n"), newTeller(io.Discard), fail); err != nil {
		t.Errorf("nonsense: %v", err)
	}
	read, write := io.Pipe()
	defer write.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := obey(ended, read, newTeller(io.Discard), fail); err != nil {
		t.Errorf("an ended context: %v", err)
	}
}

type deafDriver struct{}

func (deafDriver) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestObeyEndsWhenTheDriverIsGone(t *testing.T) {
	read, write := io.Pipe()
	defer write.Close()
	go io.WriteString(write, `{"op":"report"}`+"\n")
	err := obey(t.Context(), read, newTeller(deafDriver{}), func(context.Context, order) (event, error) { return event{}, nil })
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody listens: %v", err)
	}
}
