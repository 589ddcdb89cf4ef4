package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/testbench"
)

// vhostUserName is the name under which the program is the vhost-user back-end
// alone. A management layer starts back-ends by a path and without a subcommand.
const vhostUserName = "vhost-user-qcemu"

// asVhostUser turns a call under that name into one of the subcommand.
func asVhostUser(argv []string) []string {
	switch {
	case len(argv) == 0:
		return nil
	case filepath.Base(argv[0]) != vhostUserName:
		return argv[1:]
	case slices.Contains(argv, "--print-capabilities"): // whatever else there is
		return []string{"vhost-user", "--print-capabilities"}
	}
	return append([]string{"vhost-user"}, argv[1:]...)
}

func newVhostUser() *cobra.Command {
	var (
		e            endpoint
		f            virtioFlags
		soc          string
		capabilities bool
	)
	cmd := &cobra.Command{
		Use:   "vhost-user (--socket-path PATH | --fd N)",
		Short: "Serve the engine as a virtio-crypto device, as QEMU's back-end programs do",
		Long: `Serve the engine as a virtio-crypto device by vhost-user, with the options that
QEMU's docs/interop/vhost-user.rst asks back-end programs for. Under the name
` + vhostUserName + ` the program is this command.

"qcemu serve --vhost-user-socket" is the same with more to choose.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if capabilities {
				return printVhostUserCapabilities()
			}
			return serveVhostUser(cmd.Context(), &e, &f, soc)
		},
	}
	e.register(cmd)
	cmd.Flags().BoolVar(&capabilities, "print-capabilities", false, "print what this back-end can do as JSON, and exit")
	f.register(cmd)
	registerSoC(cmd, &soc)
	return cmd
}

// printVhostUserCapabilities has the shape of QEMU's vhost-user.json. There are
// no optional features of a crypto back-end.
func printVhostUserCapabilities() error {
	return json.NewEncoder(os.Stdout).Encode(struct {
		Type     string   `json:"type"`
		Features []string `json:"features"`
	}{"crypto", []string{}})
}

func serveVhostUser(ctx context.Context, e *endpoint, f *virtioFlags, soc string) error {
	profile, err := profileOf(soc)
	if err != nil {
		return err
	}
	config := model.Config{SoC: profile.Name}
	if err := testbench.AddVirtio(&config); err != nil {
		return err
	}
	at, err := e.open()
	if err != nil {
		return err
	}
	defer at.close()
	if f.state != "" && at.connected != nil {
		return usagef("--state is of no use with a connected socket: who is at its other end, now and after a restart, cannot be known; give --socket-path, or a listening socket with --fd")
	}
	m, err := testbench.NewModel(config, testbench.Recording{})
	if err != nil {
		return err
	}
	v, err := m.NewVirtio(f.queues, f.state, f.busyPoll, slog.Default())
	if err != nil {
		return err
	}
	defer v.Release() // what a guest has in the state is not lost by an error
	tellReady()
	if err := at.serve(ctx, v.Server); err != nil {
		return err
	}
	return v.Close()
}
