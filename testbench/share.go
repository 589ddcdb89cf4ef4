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

// Share is a folder to share with the guest.
type Share struct {
	Dir     string
	Socket  string          // to which QEMU connects the guest's port
	Job     *job.Job        // what the guest is to do; nil: the folder has it
	Next    *job.Job        // what it is to do after it has rebooted; nil: the same
	OnEvent func(job.Event) // takes what the guest says; may be nil
}

// ServeShare shares a folder until ctx is done.
func ServeShare(ctx context.Context, wg *sync.WaitGroup, s Share) error {
	if s.OnEvent == nil {
		s.OnEvent = func(job.Event) {}
	}
	var server *share.Server
	onEvent := func(e job.Event) {
		if e.Type == job.Rebooting && s.Next != nil {
			if data, err := encodeJob(s.Next); err == nil {
				server.SetJob(data)
			}
		}
		s.OnEvent(e)
	}
	server, err := share.New(s.Dir, onEvent, func(err error) {
		slog.Warn("the guest wrote to its control file what is no event", "error", err)
	})
	if err != nil {
		return err
	}
	if s.Job != nil {
		data, err := encodeJob(s.Job)
		if err != nil {
			return err
		}
		server.SetJob(data)
	}
	l, err := vhostuser.Listen(s.Socket)
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
