package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/testbench"
	"github.com/qcemu/qcemu/vhostuser"
)

// endpoint says where a backend serves, in the words that QEMU's backend program
// conventions have for it.
type endpoint struct {
	socket string
	fd     int // -1: none
}

func (e *endpoint) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&e.socket, "socket-path", "", "create this UNIX `socket` and listen on it")
	fl.IntVar(&e.fd, "fd", -1, "serve this file descriptor `N`, inherited from the parent: a listening or a connected UNIX socket")
}

// server serves clients, of either protocol.
type server interface {
	Serve(context.Context, *net.UnixListener) error
	ServeConn(context.Context, *vhostuser.Socket) error
}

// place is where a backend serves: one of the two is there.
type place struct {
	listener  *net.UnixListener
	connected *vhostuser.Socket // to the only client
}

// open takes the place to serve.
func (e *endpoint) open() (*place, error) {
	switch {
	case e.socket != "" && e.fd >= 0:
		return nil, usagef("--socket-path and --fd exclude each other")
	case e.fd >= 0:
		l, sock, err := vhostuser.Inherited(e.fd)
		if err != nil {
			return nil, usagef("--fd: %w", err)
		}
		return &place{l, sock}, nil
	case e.socket != "":
		l, err := vhostuser.Listen(e.socket)
		if err != nil {
			return nil, &testbench.UsageError{Err: err}
		}
		return &place{listener: l}, nil
	}
	l, err := activated()
	if err != nil {
		return nil, err
	}
	return &place{listener: l}, nil
}

// serve lets s serve there until ctx is done, or the only client has left.
func (p *place) serve(ctx context.Context, s server) error {
	if p.connected != nil {
		return s.ServeConn(ctx, p.connected)
	}
	return s.Serve(ctx, p.listener)
}

// close gives the place up. Nobody may be serving there.
func (p *place) close() {
	if p.connected != nil {
		p.connected.Close()
		return
	}
	p.listener.Close()
}

// passed reports whether systemd has passed sockets (sd_listen_fds(3)).
func passed() bool {
	n := os.Getenv("LISTEN_FDS")
	return os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && n != "" && n != "0"
}

// activated takes the socket that systemd passed.
func activated() (*net.UnixListener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	switch len(listeners) {
	case 0:
		return nil, usagef("nothing to serve on: give --socket-path PATH or --fd N (see --help)")
	case 1:
		if l, ok := listeners[0].(*net.UnixListener); ok {
			return l, nil
		}
	}
	return nil, usagef("socket activation passed %d sockets: one listening UNIX stream socket is needed", len(listeners))
}
