package bench

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// naive is the server that one would write first: a goroutine for each
// connection on a net.UnixConn, which is put to sleep by the runtime and not by
// the kernel. It serves the same model by the same protocol, as far as a client
// that only reads registers needs it, and is what the real server's figures
// are compared with. It has no interrupts and no DMA.
type naive struct {
	block  *cryptoblock.Block
	config [256]byte // configuration space
}

func newNaive(p *cryptoblock.Profile) (*naive, error) {
	b, err := cryptoblock.New(*p, cryptoblock.Options{})
	if err != nil {
		return nil, err
	}
	b.Attach(bus.None, noLine{})
	n := &naive{block: b}
	binary.LittleEndian.PutUint16(n.config[0:], identity.VendorID)
	binary.LittleEndian.PutUint16(n.config[2:], identity.DeviceID)
	binary.LittleEndian.PutUint32(n.config[8:], identity.Class<<8)
	return n, nil
}

// serve accepts clients until ctx is done.
func (n *naive) serve(ctx context.Context, wg *sync.WaitGroup, path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	wg.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			wg.Go(func() { defer c.Close(); n.client(c) })
		}
	})
	return nil
}

// client serves a connection until it ends. File descriptors that come with a
// message are dropped by the kernel, for nobody asks for them.
func (n *naive) client(c *net.UnixConn) {
	const most = 64 << 10
	in, out := make([]byte, most), make([]byte, most)
	for {
		if _, err := io.ReadFull(c, in[:wire.HeaderSize]); err != nil {
			return
		}
		var h wire.Header
		h.Get(in)
		if h.Size < wire.HeaderSize || h.Size > most {
			return
		}
		payload := in[wire.HeaderSize:h.Size]
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		size, errno := n.command(h.Cmd, payload, out[wire.HeaderSize:])
		if h.Flags&wire.NoReply != 0 {
			continue
		}
		r := wire.Header{ID: h.ID, Cmd: h.Cmd, Size: uint32(wire.HeaderSize + size), Flags: wire.TypeReply}
		if errno != 0 {
			r.Size, r.Flags, r.Errno = wire.HeaderSize, wire.TypeReply|wire.Error, uint32(errno)
		}
		r.Put(out)
		if _, err := c.Write(out[:r.Size]); err != nil {
			return
		}
	}
}

// command executes a command and returns the size of the reply's payload.
func (n *naive) command(cmd wire.Command, in, out []byte) (int, unix.Errno) {
	if len(in) < smallest[cmd] {
		return 0, unix.EINVAL
	}
	switch cmd {
	case wire.Version:
		clear(out[:wire.VersionSize]) // 0.0, no capabilities
		return wire.VersionSize, 0
	case wire.DMAMap, wire.DeviceReset, wire.DeviceSetIRQs:
		return 0, 0
	case wire.DMAUnmap:
		return copy(out, in[:wire.UnmapSize]), 0
	case wire.DeviceGetInfo:
		return wire.Put(out, wire.DeviceInfo{Argsz: wire.DeviceInfoSize, Flags: wire.DeviceFlagReset | wire.DeviceFlagPCI,
			NumRegions: wire.NumRegions, NumIRQs: wire.NumIRQs}), 0
	case wire.DeviceGetRegion:
		info := wire.RegionInfo{Argsz: wire.RegionInfoSize, Index: wire.Get[wire.RegionInfo](in).Index}
		switch info.Index {
		case wire.RegionBAR0:
			info.Size = cryptoblock.WindowSize
		case wire.RegionConfig:
			info.Size = uint64(len(n.config))
		}
		if info.Size != 0 {
			info.Flags = wire.RegionFlagRead | wire.RegionFlagWrite
		}
		return wire.Put(out, info), 0
	case wire.DeviceGetIRQ:
		return wire.Put(out, wire.IRQInfo{Argsz: wire.IRQInfoSize, Index: wire.Get[wire.IRQInfo](in).Index}), 0
	case wire.RegionRead, wire.RegionWrite:
		return n.access(cmd, in, out)
	}
	return 0, unix.ENOSYS
}

// smallest is the least payload of each command.
var smallest = map[wire.Command]int{
	wire.DMAUnmap: wire.UnmapSize, wire.DeviceGetRegion: wire.RegionInfoSize, wire.DeviceGetIRQ: wire.IRQInfoSize,
	wire.RegionRead: wire.RegionAccessSize, wire.RegionWrite: wire.RegionAccessSize,
}

// access reads or writes registers, or configuration space.
func (n *naive) access(cmd wire.Command, in, out []byte) (int, unix.Errno) {
	var a wire.RegionAccess
	a.Get(in)
	limit := uint64(cryptoblock.WindowSize)
	if a.Region == wire.RegionConfig {
		limit = uint64(len(n.config))
	}
	if uint64(a.Count) > limit || a.Offset > limit-uint64(a.Count) {
		return 0, unix.EINVAL
	}
	a.Put(out)
	data := out[wire.RegionAccessSize:][:a.Count]
	if cmd == wire.RegionWrite {
		if uint32(len(in)) != wire.RegionAccessSize+a.Count {
			return 0, unix.EINVAL
		}
		data = in[wire.RegionAccessSize:]
	}
	switch {
	case a.Region == wire.RegionConfig && cmd == wire.RegionRead:
		copy(data, n.config[a.Offset:])
	case a.Region == wire.RegionConfig:
		copy(n.config[a.Offset:], data)
	case cmd == wire.RegionRead:
		n.block.ReadRegion(a.Offset, data)
		return wire.RegionAccessSize + int(a.Count), 0
	default:
		n.block.WriteRegion(a.Offset, data)
	}
	if cmd == wire.RegionRead {
		return wire.RegionAccessSize + int(a.Count), 0
	}
	return wire.RegionAccessSize, 0
}
