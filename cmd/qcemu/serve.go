package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/testbench"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
)

// serveFlags are the flags of qcemu serve.
type serveFlags struct {
	socket       string
	fd           int
	capabilities bool
	soc          string
	shareSocket  string
	shareDir     string
	out          string
	model        modelFlags
	record       string
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve (--socket-path PATH | --fd N)",
		Short: "Serve the crypto block to a QEMU that you start yourself",
		Long: `Serve the crypto block over vfio-user, for a QEMU that you start yourself:

  qcemu serve --socket-path /tmp/block.sock &
  qemu-system-aarch64 ... \
    -object memory-backend-memfd,id=mem,size=1024M,share=on -machine virt,memory-backend=mem \
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/block.sock"},"addr":"4.0"}'

"qcemu qemu-args" prints the whole QEMU command line.

The server stays in the foreground and ends on SIGTERM or SIGINT. It survives a
guest's reboot and QEMU's end: the next QEMU can connect. One QEMU is served at
a time. When it is ready it prints a line, and tells systemd if that asks for it
(NOTIFY_SOCKET). Sockets passed by systemd's socket activation are served when
neither --socket-path nor --fd is given.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.capabilities {
				return printCapabilities()
			}
			return f.serve(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.socket, "socket-path", "", "create this UNIX `socket` and listen on it")
	fl.IntVar(&f.fd, "fd", -1, "serve this file descriptor `N`, inherited from the parent: a listening or a connected UNIX socket")
	fl.BoolVar(&f.capabilities, "print-capabilities", false, "print what this backend can do as JSON, and exit")
	fl.StringVar(&f.shareSocket, "share-socket", "", "serve a shared folder (9P) on this UNIX `socket`, for the guest made by qcemu")
	fl.StringVar(&f.shareDir, "share", "", "the `folder` to share")
	fl.StringVar(&f.out, "out", "", "write attestation.json and findings.json into this `folder` at the end")
	registerRecord(cmd, &f.record)
	registerSoC(cmd, &f.soc)
	f.model.register(cmd)
	return cmd
}

// printCapabilities answers as the backend program conventions ask for.
func printCapabilities() error {
	return json.NewEncoder(os.Stdout).Encode(struct {
		Type     string   `json:"type"`
		Features []string `json:"features"`
		SoCs     []string `json:"socs"`
	}{"vfio-user", []string{"vfio-user-pci"}, cryptoblock.Profiles()})
}

func (f *serveFlags) serve(ctx context.Context) error {
	profile, err := profileOf(f.soc)
	if err != nil {
		return err
	}
	config := model.Config{SoC: profile.Name}
	if err := f.model.apply(&config); err != nil {
		return err
	}
	if (f.shareSocket == "") != (f.shareDir == "") {
		return usagef("--share and --share-socket go together")
	}
	if err := f.makeOut(); err != nil {
		return err
	}
	model, err := testbench.NewModel(config, testbench.Recording{File: f.record, Origin: "qcemu serve"})
	if err != nil {
		return err
	}
	server, err := model.Server(slog.Default())
	if err != nil {
		return err
	}
	serve, err := f.endpoint(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	if f.shareSocket != "" {
		if err := testbench.ServeShare(ctx, &wg, testbench.Share{Dir: f.shareDir, Socket: f.shareSocket}); err != nil {
			return err
		}
	}
	fmt.Println("qcemu: ready")
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		slog.Warn("telling systemd that we are ready", "error", err)
	}
	err = serve(ctx)
	cancel()
	wg.Wait()
	err = errors.Join(err, model.Close())
	if f.out != "" {
		err = errors.Join(err, model.WriteReports(f.out))
	}
	return err
}

// makeOut makes the folder for the results now, not when they are there.
func (f *serveFlags) makeOut() error {
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return usagef("--out: %w", err)
	}
	return nil
}

// endpoint finds out where to serve.
func (f *serveFlags) endpoint(server *vfiouser.Server) (func(context.Context) error, error) {
	given := 0
	if f.socket != "" {
		given++
	}
	if f.fd >= 0 {
		given++
	}
	switch {
	case given > 1:
		return nil, usagef("--socket-path and --fd exclude each other")
	case f.fd >= 0:
		l, sock, err := vhostuser.Inherited(f.fd)
		switch {
		case err != nil:
			return nil, usagef("--fd: %w", err)
		case l != nil:
			return func(ctx context.Context) error { return server.Serve(ctx, l) }, nil
		}
		return func(ctx context.Context) error { return server.ServeConn(ctx, sock) }, nil
	case f.socket != "":
		l, err := vhostuser.Listen(f.socket)
		if err != nil {
			return nil, &testbench.UsageError{Err: err}
		}
		return func(ctx context.Context) error { return server.Serve(ctx, l) }, nil
	}
	l, err := activated()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return server.Serve(ctx, l) }, nil
}

// activated takes the socket that systemd passed.
func activated() (*net.UnixListener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	switch len(listeners) {
	case 0:
		return nil, usagef("nothing to serve on: give --socket-path PATH or --fd N (see 'qcemu serve --help')")
	case 1:
		if l, ok := listeners[0].(*net.UnixListener); ok {
			return l, nil
		}
	}
	return nil, usagef("socket activation passed %d sockets: one listening UNIX stream socket is needed", len(listeners))
}

func parseReadings(words []string) (reading.Choice, error) {
	c := reading.Choice{}
	for _, w := range words {
		if err := c.Parse(w); err != nil {
			return nil, usagef("--reading: %w", err)
		}
	}
	return c, nil
}
