package vfiouser

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// command is one row of the protocol. run leaves the payload of the reply in
// session.body and returns its length, or an errno.
type command struct {
	min int // least payload
	fds int // most file descriptors
	run func(*session, *message) (int, unix.Errno)
}

// commands is indexed by wire.Command. What is not in it is ENOSYS: commands
// that do not exist, and DMA_READ and DMA_WRITE, which go the other way.
var commands = [...]command{
	wire.Version:            {wire.VersionSize, 0, (*session).version},
	wire.DMAMap:             {wire.MapSize, 1, (*session).dmaMap},
	wire.DMAUnmap:           {wire.UnmapSize, 0, (*session).dmaUnmap},
	wire.DeviceGetInfo:      {wire.DeviceInfoSize, 0, (*session).deviceInfo},
	wire.DeviceGetRegion:    {wire.RegionInfoSize, 0, (*session).regionInfo},
	wire.DeviceGetRegionFDs: {wire.RegionFDsSize, 0, (*session).regionFDs},
	wire.DeviceGetIRQ:       {wire.IRQInfoSize, 0, (*session).irqInfo},
	wire.DeviceSetIRQs:      {wire.IRQSetSize, 1, (*session).setIRQs},
	wire.RegionRead:         {wire.RegionAccessSize, 0, (*session).regionRead},
	wire.RegionWrite:        {wire.RegionAccessSize, 0, (*session).regionWrite},
	wire.DeviceReset:        {0, 0, (*session).reset},
	wire.RegionWriteMulti:   {8, 0, (*session).regionWriteMulti},
	wire.DeviceFeature:      {wire.FeatureSize, 0, (*session).feature},
	wire.MigDataRead:        {0, 0, (*session).migration},
	wire.MigDataWrite:       {0, 0, (*session).migration},
}

func (s *session) deviceInfo(m *message) (int, unix.Errno) {
	if wire.Get[wire.DeviceInfo](m.payload).Argsz < wire.DeviceInfoSize {
		return 0, unix.EINVAL
	}
	return wire.Put(s.body(), wire.DeviceInfo{
		Argsz:      wire.DeviceInfoSize,
		Flags:      wire.DeviceFlagReset | wire.DeviceFlagPCI,
		NumRegions: wire.NumRegions,
		NumIRQs:    wire.NumIRQs,
	}), 0
}

func (s *session) regionInfo(m *message) (int, unix.Errno) {
	q := wire.Get[wire.RegionInfo](m.payload)
	if q.Argsz < wire.RegionInfoSize || q.Index >= wire.NumRegions {
		return 0, unix.EINVAL
	}
	info := wire.RegionInfo{Argsz: wire.RegionInfoSize, Index: q.Index, Size: s.srv.regionSize(q.Index)}
	if info.Size > 0 {
		info.Flags = wire.RegionFlagRead | wire.RegionFlagWrite
	}
	return wire.Put(s.body(), info), 0
}

// regionFDs says that no part of a region is reached by file descriptors.
func (s *session) regionFDs(m *message) (int, unix.Errno) {
	q := wire.Get[wire.RegionFDs](m.payload)
	if q.Argsz < wire.RegionFDsSize || q.Flags != 0 || q.Index >= wire.NumRegions {
		return 0, unix.EINVAL
	}
	return wire.Put(s.body(), wire.RegionFDs{Argsz: wire.RegionFDsSize, Index: q.Index}), 0
}

func (s *session) regionRead(m *message) (int, unix.Errno) {
	var a wire.RegionAccess
	a.Get(m.payload)
	if len(m.payload) != wire.RegionAccessSize {
		return 0, unix.EINVAL
	}
	if errno := s.srv.check(&a); errno != 0 {
		return 0, errno
	}
	b := s.body()
	a.Put(b)
	n := wire.RegionAccessSize + int(a.Count)
	return n, s.srv.read(&a, b[wire.RegionAccessSize:n])
}

func (s *session) regionWrite(m *message) (int, unix.Errno) {
	var a wire.RegionAccess
	a.Get(m.payload)
	data := m.payload[wire.RegionAccessSize:]
	if uint64(len(data)) != uint64(a.Count) {
		return 0, unix.EINVAL
	}
	if errno := s.srv.check(&a); errno != 0 {
		return 0, errno
	}
	a.Put(s.body())
	return wire.RegionAccessSize, s.srv.write(&a, data)
}

// regionWriteMulti makes the writes in order, up to the first that fails. The
// structure of the message is checked before the first.
func (s *session) regionWriteMulti(m *message) (int, unix.Errno) {
	count, rest := wire.Order.Uint64(m.payload), m.payload[8:]
	if count != uint64(len(rest))/wire.WriteOneSize || len(rest)%wire.WriteOneSize != 0 {
		return 0, unix.EINVAL
	}
	for one := range slices.Chunk(rest, wire.WriteOneSize) {
		var a wire.RegionAccess
		a.Get(one)
		if a.Count > wire.WriteOneSize-wire.RegionAccessSize {
			return 0, unix.EINVAL
		}
		if errno := s.srv.check(&a); errno != 0 {
			return 0, errno
		}
		if errno := s.srv.write(&a, one[wire.RegionAccessSize:][:a.Count]); errno != 0 {
			return 0, errno
		}
	}
	wire.Order.PutUint64(s.body(), count)
	return 8, 0
}

func (s *session) reset(m *message) (int, unix.Errno) {
	if len(m.payload) != 0 {
		return 0, unix.EINVAL
	}
	s.srv.reset()
	return 0, 0
}

// feature answers as VFIO does for a device without optional features: all of
// those that vfio-user defines are about migration.
func (s *session) feature(m *message) (int, unix.Errno) {
	const ops = wire.FeatureGet | wire.FeatureSet | wire.FeatureProbe
	f := wire.Get[wire.Feature](m.payload)
	op := f.Flags & ops
	switch {
	case f.Argsz < wire.FeatureSize, f.Flags&^(wire.FeatureMask|ops) != 0, op == 0,
		op == wire.FeatureGet|wire.FeatureSet:
		return 0, unix.EINVAL
	}
	return 0, unix.ENOTTY
}

// migration: there is no state that migration data could be read from or
// written to.
func (s *session) migration(*message) (int, unix.Errno) { return 0, unix.EOPNOTSUPP }

// asErrno is the errno of a device's error.
func asErrno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok && errno != 0 {
		return errno
	}
	return unix.EIO
}
