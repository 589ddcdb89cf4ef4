package bench

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/testbench"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// Lengths of a register read's message and of its answer.
const (
	readLen   = wire.HeaderSize + wire.RegionAccessSize
	answerLen = readLen + 4
)

// How often the socket is tried: by turns, some round trips each.
const (
	socketTurns = 400
	socketTurn  = 100
)

// socket measures a register read through the socket of the server with the
// model behind it, as 'qcemu serve' has it, against a thread that only answers.
func (r *run) socket(ctx context.Context) error {
	step := r.Progress.Begin("a register read through the socket")
	lines, err := measureSocket(ctx, r.Guest.Profile)
	step.End(err)
	r.add("socket", lines...)
	return err
}

func measureSocket(ctx context.Context, p *cryptoblock.Profile) ([]Line, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	restore, err := onOneCPU()
	if err != nil {
		return nil, err
	}
	defer restore()
	bare, stopBare, err := pingPong()
	if err != nil {
		return nil, err
	}
	defer stopBare()
	server, stopServer, err := serveModel(p)
	if err != nil {
		return nil, err
	}
	defer stopServer()

	read := vfiotest.Encode(wire.Header{ID: 1, Cmd: wire.RegionRead}, vfiotest.Access(wire.RegionBAR0, uint64(p.QCEOffset+qce.Version), 4, nil))
	write := vfiotest.Encode(wire.Header{Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(wire.RegionBAR0, uint64(p.QCEOffset+qce.Version), 4, make([]byte, 4)))
	buf := make([]byte, 2*answerLen)
	var times [2]samples
	for i := range times {
		times[i] = make(samples, 0, socketTurns*socketTurn)
	}
	for range socketTurns {
		for i, s := range []*vhostuser.Socket{bare, server} {
			for range socketTurn {
				start := time.Now()
				if err := roundTrip(s, read, buf); err != nil {
					return nil, err
				}
				times[i] = append(times[i], float64(time.Since(start)))
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for _, s := range times {
		slices.Sort(s)
	}
	const against = "bare ping-pong of two threads"
	lines := []Line{
		{What: "register read, p50", Value: times[1].p50(), Unit: nanoseconds, Against: against, Base: times[0].p50(), Target: atMost(1.3)},
		{What: "register read, p99", Value: times[1].p99(), Unit: nanoseconds, Against: against, Base: times[0].p99()},
		{What: "allocations of a read", Unit: howOften, Target: atMost(0), Value: allocations(1000, func() { err = roundTrip(server, read, buf) })},
	}
	if err != nil {
		return nil, err
	}
	lines = append(lines, Line{What: "allocations of a write", Unit: howOften, Target: atMost(0), Value: allocations(1000, func() {
		if err = server.Send(write, nil); err == nil {
			err = roundTrip(server, read, buf)
		}
	})})
	return lines, err
}

// roundTrip sends a read and takes the answer.
func roundTrip(s *vhostuser.Socket, read, buf []byte) error {
	if err := s.Send(read, nil); err != nil {
		return err
	}
	n, _, err := s.Recv(buf, true)
	if err == nil && n != answerLen {
		err = fmt.Errorf("the answer to a register read has %d bytes, not %d", n, answerLen)
	}
	return err
}

func socketpair() (ours, theirs *vhostuser.Socket, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if ours, err = vhostuser.NewSocket(fds[0]); err != nil {
		vhostuser.CloseFDs(fds[:])
		return nil, nil, err
	}
	if theirs, err = vhostuser.NewSocket(fds[1]); err != nil {
		ours.Close()
		unix.Close(fds[1])
		return nil, nil, err
	}
	return ours, theirs, nil
}

// pingPong starts a thread that answers messages of a read's length with ones
// of its answer's length, by the same calls of the kernel.
func pingPong() (client *vhostuser.Socket, stop func(), err error) {
	server, client, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer vhostuser.Prompt()() // as the server's thread, or it would be measured too
		var b [2 * answerLen]byte
		for {
			if _, _, err := server.Recv(b[:], true); err != nil {
				return
			}
			if server.Send(b[:answerLen], nil) != nil {
				return
			}
		}
	}()
	return client, func() { client.Close(); <-done }, nil
}

// serveModel starts the server with a model and negotiates with it.
func serveModel(p *cryptoblock.Profile) (client *vhostuser.Socket, stop func(), err error) {
	m, err := testbench.NewModel(model.Config{SoC: p.Name}, testbench.Recording{})
	if err != nil {
		return nil, nil, err
	}
	srv, err := m.Server(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	server, client, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() { defer close(done); srv.ServeConn(context.Background(), server) }()
	stop = func() { client.Close(); <-done }
	err = client.Send(vfiotest.Encode(wire.Header{Cmd: wire.Version}, make([]byte, wire.VersionSize)), nil)
	if err == nil {
		var b [64]byte
		_, _, err = client.Recv(b[:], true)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return client, stop, nil
}
