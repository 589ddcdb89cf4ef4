package testbench

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/share"
	"github.com/qcemu/qcemu/vhostuser"
)

// ServeShare shares a folder with the guest, through a socket to which QEMU
// connects the guest's port, until ctx is done. onEvent takes what the guest
// says; it may be nil.
func ServeShare(ctx context.Context, wg *sync.WaitGroup, dir, socket string, onEvent func(job.Event)) error {
	if onEvent == nil {
		onEvent = func(job.Event) {}
	}
	server, err := share.New(dir, onEvent, func(err error) {
		slog.Warn("the guest wrote to its control file what is no event", "error", err)
	})
	if err != nil {
		return err
	}
	l, err := vhostuser.Listen(socket)
	if err != nil {
		server.Close()
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	wg.Go(func() {
		defer server.Close()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serveShareConn(ctx, server, conn)
		}
	})
	return nil
}

func serveShareConn(ctx context.Context, server *share.Server, conn net.Conn) {
	if err := server.Serve(ctx, conn); err != nil && ctx.Err() == nil {
		slog.Warn("the guest's connection to the shared folder broke", "error", err)
	}
}
