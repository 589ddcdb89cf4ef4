package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/testbench"
)

// serveFlags are the flags of qcemu serve.
type serveFlags struct {
	endpoint
	capabilities bool
	soc          string
	shareSocket  string
	shareDir     string
	out          string
	model        modelFlags
	record       string
	virtio       virtioFlags
}

// virtioFlags are the flags of the virtio-crypto device.
type virtioFlags struct {
	socket string
	state  string
	queues int

	busyPoll time.Duration
}

func (f *virtioFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.state, "state", "", "keep crypto sessions and what is in flight in this `file`, so that a guest goes on when the backend was killed and is started again; keys are in it: put it into memory, such as /run")
	fl.DurationVar(&f.busyPoll, "busy-poll", testbench.BusyPoll, "for how long a ring of the virtio-crypto device is looked at after a request, with processor time that nobody else wants, before the guest has to kick for the next; 0 saves that time")
	fl.IntVar(&f.queues, "queues", 4, "how many data queues the virtio-crypto device has at most")
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve (--socket-path PATH | --fd N | --vhost-user-socket PATH)",
		Short: "Serve the crypto block to a QEMU that you start yourself",
		Long: `Serve the crypto block over vfio-user, for a QEMU that you start yourself:

  qcemu serve --socket-path /tmp/block.sock &
  qemu-system-aarch64 ... \
    -object memory-backend-memfd,id=mem,size=1024M,share=on -machine virt,memory-backend=mem \
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/block.sock"},"addr":"4.0"}'

"qcemu qemu-args" prints the whole QEMU command line.

With --vhost-user-socket the same engine is also a virtio-crypto device, for any
guest with a driver for that, in the same QEMU or in another one; without
--socket-path, --fd or a socket of systemd's it is that alone:

  qemu-system-aarch64 ... \
    -object memory-backend-memfd,id=mem,size=1024M,share=on -machine virt,memory-backend=mem \
    -chardev socket,id=cc,path=/tmp/crypto.sock,reconnect-ms=500 \
    -object cryptodev-vhost-user,id=cd,chardev=cc -device virtio-crypto-pci,cryptodev=cd

(An older QEMU has reconnect=1 in place of reconnect-ms, and may need vectors=0
with the device: docs/protocol.md says what was tried.)

The server stays in the foreground and ends on SIGTERM or SIGINT. It survives a
guest's reboot and QEMU's end: the next QEMU can connect. One QEMU is served at
a time. When it is ready it prints a line, and tells systemd if that asks for it
(NOTIFY_SOCKET). A socket passed by systemd's socket activation is for the crypto
block, when neither --socket-path nor --fd is given.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.capabilities {
				return printCapabilities()
			}
			return f.serve(cmd.Context(), cmd.Flags().Changed("oracle"))
		},
	}
	fl := cmd.Flags()
	f.endpoint.register(cmd)
	fl.BoolVar(&f.capabilities, "print-capabilities", false, "print what this backend can do as JSON, and exit")
	fl.StringVar(&f.virtio.socket, "vhost-user-socket", "", "serve the engine as a virtio-crypto device too, by vhost-user on this UNIX `socket`")
	f.virtio.register(cmd)
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

func (f *serveFlags) serve(ctx context.Context, oracleAsked bool) error {
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
	if f.virtio.socket != "" {
		if !oracleAsked {
			config.Oracle = 0 // who wants speed does not want all work done twice
		}
		if err := testbench.AddVirtio(&config); err != nil {
			return err
		}
	} else if f.virtio.state != "" {
		return usagef("--state is for the virtio-crypto device: give --vhost-user-socket too")
	}
	var crypto, block *place // nil: not served
	if f.virtio.socket != "" {
		if crypto, err = (&endpoint{socket: f.virtio.socket, fd: -1}).open(); err != nil {
			return err
		}
		defer crypto.close()
	}
	if f.virtio.socket == "" || f.socket != "" || f.fd >= 0 || passed() {
		if block, err = f.open(); err != nil {
			return err
		}
		defer block.close()
	}
	model, err := testbench.NewModel(config, testbench.Recording{File: f.record, Origin: "qcemu serve"})
	if err != nil {
		return err
	}
	var servers []func(context.Context) error
	if crypto != nil {
		v, err := model.NewVirtio(f.virtio.queues, f.virtio.state, f.virtio.busyPoll, slog.Default())
		if err != nil {
			return err
		}
		defer v.Release() // what a guest has in the state is not lost by an error
		servers = append(servers, func(ctx context.Context) error {
			if err := crypto.serve(ctx, v.Server); err != nil {
				return err
			}
			return v.Close()
		})
	}
	if block != nil {
		server, err := model.Server(slog.Default())
		if err != nil {
			return err
		}
		servers = append(servers, func(ctx context.Context) error { return block.serve(ctx, server) })
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	if f.shareSocket != "" {
		if err := testbench.ServeShare(ctx, &wg, testbench.Share{Dir: f.shareDir, Socket: f.shareSocket}); err != nil {
			return err
		}
	}
	tellReady()
	errs := make([]error, len(servers))
	for i, serve := range servers {
		wg.Go(func() {
			errs[i] = serve(ctx)
			if len(servers) == 1 || errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	err = errors.Join(append(errs, model.Close(), model.Doubt())...)
	if f.out != "" {
		err = errors.Join(err, model.WriteReports(f.out))
	}
	return err
}

// tellReady says that clients can connect: on the console, and to systemd.
func tellReady() {
	fmt.Println("qcemu: ready")
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		slog.Warn("telling systemd that we are ready", "error", err)
	}
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

func parseReadings(words []string) (reading.Choice, error) {
	c := reading.Choice{}
	for _, w := range words {
		if w == allReadings {
			return nil, usagef("--reading all plays the scenarios, which 'qcemu scenarios --reading all' does; here it takes NAME=VALUE")
		}
		if err := c.Parse(w); err != nil {
			return nil, usagef("--reading: %w", err)
		}
	}
	return c, nil
}
