package bam_test

import (
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

const (
	ramBase = 0x8000_0000
	ramSize = 0x80000
	window  = 0x01DFA000 & 0xFFFFFF // where elements find the peripheral
)

// rig is a BAM with all that belongs around it.
type rig struct {
	bam    *bam.BAM
	layout bam.Layout
	mem    *bamtest.Memory
	lines  [bam.MaxEEs]bamtest.Line
	loop   *bamtest.Loopback
	script *bamtest.Scripted
	rec    *bamtest.Recorder
}

// newRig makes a BAM without a recorder on a loopback peripheral; what cfg leaves open
// is that of an SDM845 with EE 0 in control. Without a revision, so are the layout and
// the remote mode.
func newRig(tb testing.TB, cfg bam.Config) *rig {
	r := &rig{loop: bamtest.NewLoopback(16, 4096, 0x6000)}
	r.build(tb, cfg, r.loop, nil)
	return r
}

// newTraced is the same with a recorder.
func newTraced(tb testing.TB, cfg bam.Config) *rig {
	r := &rig{loop: bamtest.NewLoopback(16, 4096, 0x6000), rec: &bamtest.Recorder{}}
	r.build(tb, cfg, r.loop, r.rec)
	return r
}

// newScripted is the same on a scripted peripheral.
func newScripted(tb testing.TB, cfg bam.Config) *rig {
	r := &rig{script: bamtest.NewScripted(), rec: &bamtest.Recorder{}}
	r.build(tb, cfg, r.script, r.rec)
	return r
}

func (r *rig) build(tb testing.TB, cfg bam.Config, p bam.Peripheral, sink trace.Sink) {
	tb.Helper()
	if cfg.NumPipes == 0 {
		cfg.NumPipes = 16
	}
	if cfg.NumEEs == 0 {
		cfg.NumEEs = 4
	}
	if cfg.Revision == 0 {
		cfg.Layout, cfg.Revision, cfg.Remote = bam.V17, 0x27, bam.ControlledRemotely
	}
	if cfg.Window.Size == 0 {
		cfg.Window = bam.Window{Base: 0x01DFA000, Size: 0x6000}
	}
	if err := cfg.Validate(); err != nil {
		tb.Fatal(err)
	}
	r.layout = cfg.Layout
	r.mem = bamtest.NewMemory(ramBase, ramSize)
	lines := make([]bus.Line, cfg.NumEEs)
	for i := range lines {
		lines[i] = &r.lines[i]
	}
	r.bam = bam.New(cfg, p, lines, sink)
	for i := range cfg.NumPipes {
		r.bam.SetPipeMemory(i, r.mem)
	}
}

// ring is a driver of EE 0 for a pipe; odd pipes are producers.
func (r *rig) ring(pipe int, base uint64, size uint32) *bamtest.Ring {
	return r.ringOf(0, pipe, base, size)
}

func (r *rig) ringOf(ee, pipe int, base uint64, size uint32) *bamtest.Ring {
	return &bamtest.Ring{B: r.bam, Mem: r.mem, Layout: r.layout, By: trace.CPUOf(ee), Pipe: pipe, Producer: pipe&1 != 0, Base: ramBase + base, Size: size}
}
