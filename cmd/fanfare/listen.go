package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/protocol"
)

// listenCmd is a device.
type listenCmd struct {
	Address       string `help:"Device port of a node, host:port." placeholder:"HOST:PORT" xor:"server"`
	Allocator     string `help:"URL of an allocator that names the node." placeholder:"URL" xor:"server"`
	PublicKeyFile string `help:"Public key of the cluster, PEM or MPush's base64." placeholder:"FILE" xor:"key"`
	DemoKey       bool   `help:"Use MPush's published demo key." xor:"key"`
	User          string `help:"User to bind." short:"u" placeholder:"USER"`
	Tags          string `help:"Tags of the connection, comma separated." placeholder:"TAG,TAG"`
	OSName        string `name:"os-name" help:"Operating system to report; it decides the client type: android or ios is mobile, windows, linux or mac is pc." default:"linux" placeholder:"NAME"`
	DeviceID      string `name:"device-id" help:"Id of the installation. Default: made from host name and process." placeholder:"ID"`
	ClientVersion string `help:"Version to report." default:"fanfare" placeholder:"VERSION"`
	Ack           bool   `help:"Acknowledge pushes that want the application's (biz) acknowledgement. Automatic ones are always acknowledged." default:"true" negatable:""`
	Count         int    `help:"End after so many messages. 0: never." short:"n" default:"0" placeholder:"N"`
	JSON          bool   `name:"json" help:"Print one JSON object a line."`
	LogLevel      string `name:"log.level" help:"Least level to log: debug, info, warn or error." enum:"debug,info,warn,error" default:"warn"`
	LogFormat     string `name:"log.format" help:"Format of the log: text or json." enum:"text,json" default:"text"`
}

// Help is shown by --help.
func (listenCmd) Help() string {
	return `Connects like a phone would, binds the user, acknowledges and prints each message, and stays connected through
restarts of the server until it is interrupted. Exits 1 if the server refuses it or another login takes its place.

Examples:

  fanfare listen --address 127.0.0.1:3000 --demo-key --user alice
  fanfare listen --allocator http://127.0.0.1:9999/ --public-key-file public.pem --user alice --tags beta,eu --json`
}

// Validate is called by kong before Run.
func (cmd *listenCmd) Validate() error {
	switch {
	case cmd.Address == "" && cmd.Allocator == "":
		return errors.New("needs a server: give --address or --allocator")
	case cmd.PublicKeyFile == "" && !cmd.DemoKey:
		return errors.New("needs the cluster's public key: give --public-key-file, or --demo-key if the server uses MPush's")
	}
	return nil
}

// Run is called by kong.
func (cmd *listenCmd) Run(p *process) error {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	o, err := cmd.options(p)
	if err != nil {
		return err
	}
	received := 0
	var printErr error
	o.OnPush = func(m *client.Message) {
		received++
		if printErr = cmd.receive(p.stdout, m); printErr != nil || received == cmd.Count {
			cancel()
		}
	}
	o.OnState = func(s client.State, err error) { cmd.say(p.stderr, s, err) }
	device, err := client.NewDevice(o)
	if err != nil {
		return usageError{err}
	}
	err = device.Run(ctx)
	if ctx.Err() != nil { // the user has enough, or the count is reached
		return printErr
	}
	return err
}

func (cmd *listenCmd) options(p *process) (o client.DeviceOptions, err error) {
	o = client.DeviceOptions{
		Address: cmd.Address, Allocator: cmd.Allocator, DemoKey: cmd.DemoKey,
		DeviceID: cmd.DeviceID, OSName: cmd.OSName, ClientVersion: cmd.ClientVersion,
		User: cmd.User, Tags: cmd.Tags, SessionStore: new(client.MemorySessions),
		Logger: newLogger(p.stderr, config.Log{Level: cmd.LogLevel, Format: cmd.LogFormat}),
	}
	if o.DeviceID == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("finding a device id (or give --device-id): %w", err)
		}
		o.DeviceID = host + "-" + strconv.Itoa(os.Getpid())
	}
	if cmd.PublicKeyFile == "" {
		return o, nil
	}
	text, err := os.ReadFile(cmd.PublicKeyFile)
	if err != nil {
		return o, usagef("--public-key-file: %w", err)
	}
	if o.PublicKey, err = protocol.ParsePublicKey(text); err != nil {
		return o, usagef("--public-key-file %s: %w", cmd.PublicKeyFile, err)
	}
	return o, nil
}

// received is a message as --json prints it.
type received struct {
	Received time.Time        `json:"received"`
	Ack      protocol.AckMode `json:"ack"`
	Content  *string          `json:"content,omitempty"`
	Base64   []byte           `json:"content_base64,omitempty"` // in place of content that is not UTF-8
}

func (cmd *listenCmd) receive(w io.Writer, m *client.Message) error {
	if err := cmd.print(w, m); err != nil {
		return fmt.Errorf("printing a message: %w", err)
	}
	if m.Mode == protocol.AckBiz && cmd.Ack {
		return m.Ack()
	}
	return nil
}

func (cmd *listenCmd) print(w io.Writer, m *client.Message) error {
	if !cmd.JSON {
		_, err := fmt.Fprintf(w, "%s\n", m.Content)
		return err
	}
	r := received{Received: time.Now(), Ack: m.Mode}
	if utf8.Valid(m.Content) {
		text := string(m.Content)
		r.Content = &text
	} else {
		r.Base64 = m.Content
	}
	return json.NewEncoder(w).Encode(r)
}

// say tells people what the connection does; programs read standard output.
func (cmd *listenCmd) say(w io.Writer, s client.State, err error) {
	switch {
	case s == client.StateBound:
		fmt.Fprintf(w, "fanfare: connected as %s, waiting for messages\n", cmd.User)
	case s == client.StateConnected && cmd.User == "":
		fmt.Fprintln(w, "fanfare: connected without a user")
	case s == client.StateWaiting && err != nil && !errors.Is(err, context.Canceled):
		fmt.Fprintf(w, "fanfare: not connected: %v; trying again\n", err)
	}
}
