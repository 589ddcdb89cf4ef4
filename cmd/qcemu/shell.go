package main

import (
	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/testbench"
)

func newShell() *cobra.Command {
	var f guestFlags
	var shared string
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Boot to an interactive shell in the guest, with the drivers loaded",
		Long: `Boot the guest to an interactive shell on the terminal, with the drivers loaded
and the folder of --share mounted at /host. The guest ends with the shell
("exit"); Ctrl-A X ends it by force.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.config()
			if err != nil {
				return err
			}
			return testbench.Shell(cmd.Context(), c, shared)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&shared, "share", ".", "`folder` to mount in the guest")
	return cmd
}
