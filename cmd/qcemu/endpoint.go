package main

import (
	"context"
	"fmt"
	"net"

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

// open takes the place to serve, and returns what serves there.
func (e *endpoint) open(s server) (func(context.Context) error, error) {
	switch {
	case e.socket != "" && e.fd >= 0:
		return nil, usagef("--socket-path and --fd exclude each other")
	case e.fd >= 0:
		l, sock, err := vhostuser.Inherited(e.fd)
		switch {
		case err != nil:
			return nil, usagef("--fd: %w", err)
		case l != nil:
			return func(ctx context.Context) error { return s.Serve(ctx, l) }, nil
		}
		return func(ctx context.Context) error { return s.ServeConn(ctx, sock) }, nil
	case e.socket != "":
		l, err := vhostuser.Listen(e.socket)
		if err != nil {
			return nil, &testbench.UsageError{Err: err}
		}
		return func(ctx context.Context) error { return s.Serve(ctx, l) }, nil
	}
	l, err := activated()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return s.Serve(ctx, l) }, nil
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
