package bam_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

func (r *rig) read(ee int, reg bam.Reg, index int) uint32 {
	off, ok := r.layout.Offset(reg, index)
	if !ok {
		panic(reg.String())
	}
	return r.bam.Read(trace.CPUOf(ee), off)
}

func (r *rig) write(ee int, reg bam.Reg, index int, v uint32) {
	off, ok := r.layout.Offset(reg, index)
	if !ok {
		panic(reg.String())
	}
	r.bam.Write(trace.CPUOf(ee), off, v)
}

func TestIdentification(t *testing.T) {
	for _, tt := range []struct {
		cfg                bam.Config
		revision, numPipes uint32
	}{
		{bam.Config{}, 0x0080_0427, 16},
		{bam.Config{AddrBits: 36, NumPipes: 20}, 0x0080_0427, 1<<14 | 20},
		{bam.Config{AddrBits: 40, NumPipes: 31, Timers: true, NumEEs: 8}, 0x0088_0827, 2<<14 | 31},
		{bam.Config{Layout: bam.V13, Revision: 2, NumPipes: 8, NumEEs: 2}, 0x0000_0202, 8},
		{bam.Config{Layout: bam.V14, Revision: 6, NumPipes: 8}, 0x0080_0406, 8},
	} {
		r := newRig(t, tt.cfg)
		if got := r.read(0, bam.BAMRevision, 0); got != tt.revision {
			t.Errorf("BAM_REVISION = %#x, want %#x", got, tt.revision)
		}
		if got := r.read(0, bam.BAMNumPipes, 0); got != tt.numPipes {
			t.Errorf("BAM_NUM_PIPES = %#x, want %#x", got, tt.numPipes)
		}
	}
	r := newRig(t, bam.Config{SWRevision: 0x1007_0000})
	if got := r.read(0, bam.SWRevision, 0); got != 0x1007_0000 {
		t.Errorf("SW_REVISION = %#x", got)
	}
}

// §11: what a remote BAM looks like when Linux comes, and what the bring-up of §21 does.
func TestRemoteModes(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode bam.Remote
		ctrl uint32
		cnfg uint32
		attr uint32
	}{
		{"local", bam.Local, 0, 0, 0x30},
		{"controlled", bam.ControlledRemotely, 2, 0xFFFF_F004, 0x8000_0030},
		{"powered", bam.PoweredRemotely, 0, 0, 0x30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := bam.Config{Layout: bam.V17, Revision: 0x27, Remote: tt.mode, ControlEE: 2, Owners: make([]uint8, 16)}
			for i := range cfg.Owners {
				cfg.Owners[i] = 2
			}
			cfg.Owners[4], cfg.Owners[5] = 0, 0
			r := newRig(t, cfg)
			check := func(when string) {
				t.Helper()
				if got := r.read(0, bam.BAMCtrl, 0); got != tt.ctrl {
					t.Errorf("%s: BAM_CTRL = %#x, want %#x", when, got, tt.ctrl)
				}
				if got := r.read(0, bam.CnfgBits, 0); got != tt.cnfg {
					t.Errorf("%s: BAM_CNFG_BITS = %#x, want %#x", when, got, tt.cnfg)
				}
				if got := r.read(0, bam.PipeAttrEE, 0); got != tt.attr {
					t.Errorf("%s: PIPE_ATTR_EE = %#x, want %#x", when, got, tt.attr)
				}
				if got := r.read(0, bam.TrustReg, 0); got != 2 {
					t.Errorf("%s: TRUST_REG = %#x, want EE 2", when, got)
				}
			}
			check("power-on")
			r.write(2, bam.BAMCtrl, 0, 1)
			r.write(2, bam.CnfgBits, 0, 0xF004)
			r.write(2, bam.PTrustReg, 4, 1)
			r.bam.Reset()
			check("after a reset")
		})
	}
}

// The bring-up of a BAM that Linux controls (§21).
func TestLocalBringUp(t *testing.T) {
	s := newScene(t, bam.Config{Layout: bam.V14, Revision: 6})
	ctrl := s.read(0, bam.BAMCtrl, 0)
	s.write(0, bam.BAMCtrl, 0, ctrl|1)
	if got := s.read(0, bam.BAMCtrl, 0); got != 1 {
		t.Errorf("in reset: BAM_CTRL = %#x", got)
	}
	s.write(0, bam.BAMCtrl, 0, ctrl&^1)
	s.write(0, bam.BAMCtrl, 0, ctrl&^1|2)
	s.write(0, bam.BAMDescCntTrshld, 0, 4)
	s.write(0, bam.CnfgBits, 0, 0x0FFF_F004)
	s.write(0, bam.BAMIRQEn, 0, 6)
	s.write(0, bam.IRQSrcsMskEE, 0, 1<<31)
	for reg, want := range map[bam.Reg]uint32{bam.BAMCtrl: 2, bam.BAMDescCntTrshld: 4, bam.CnfgBits: 0x0FFF_F004, bam.BAMIRQEn: 6, bam.IRQSrcsMskEE: 1 << 31} {
		if got := s.read(0, reg, 0); got != want {
			t.Errorf("%v = %#x, want %#x", reg, got, want)
		}
	}
	s.loopback(dest)
	if got := s.tx.Read(bam.PSWOfsts); got != 8 {
		t.Errorf("no transfer after the bring-up: P_SW_OFSTS = %#x", got)
	}
	if ids := s.rec.Rules(); len(ids) != 0 {
		t.Errorf("findings: %v", ids)
	}
}

// Registers of another EE read as 0 and ignore writes.
func TestForeignRegisters(t *testing.T) {
	r := newTraced(t, bam.Config{Owners: []uint8{4: 1, 5: 1, 15: 0}})
	own := r.ringOf(1, 4, 0, 256)
	own.Init(0x31)
	for _, reg := range []bam.Reg{bam.PCtrl, bam.PFIFOSizes, bam.PIRQEn} {
		if got := r.read(0, reg, 4); got != 0 {
			t.Errorf("EE 0 reads %v as %#x", reg, got)
		}
		r.write(0, reg, 4, 0)
		if got := r.read(1, reg, 4); got == 0 {
			t.Errorf("EE 0 cleared %v", reg)
		}
	}
	if got := r.read(0, bam.IRQSrcsMskEE, 1); got != 0 {
		t.Errorf("EE 0 reads EE 1's mask: %#x", got)
	}
	r.write(0, bam.IRQSrcsMskEE, 1, 0)
	if got := r.read(1, bam.IRQSrcsMskEE, 1); got != 1<<4 {
		t.Errorf("EE 1's mask is %#x", got)
	}
	// The model itself may look at everything.
	off, _ := r.layout.Offset(bam.PFIFOSizes, 4)
	if got := r.bam.Read(trace.Master{Via: trace.Model, Pipe: -1}, off); got != 256 {
		t.Errorf("the model reads P_FIFO_SIZES as %#x", got)
	}
}

func TestGlobalsBelongToTheControllingEE(t *testing.T) {
	r := newRig(t, bam.Config{ControlEE: 2})
	r.write(0, bam.BAMCtrl, 0, 0)
	r.write(0, bam.PTrustReg, 4, 1)
	if r.read(0, bam.BAMCtrl, 0) != 2 || r.read(0, bam.PTrustReg, 4) != 0 {
		t.Error("EE 0 changed a global or trust register")
	}
	r.write(2, bam.PTrustReg, 4, 1)
	if r.read(2, bam.PTrustReg, 4) != 1 {
		t.Error("EE 2 cannot give a pipe away")
	}

	r = newRig(t, bam.Config{ControlEE: 2, RstBlock: true, Readings: bam.Readings{ForeignGlobals: bam.ForeignAccepted}})
	r.write(0, bam.CnfgBits, 0, 0xF004)
	if got := r.read(0, bam.CnfgBits, 0); got != 0xF004 {
		t.Errorf("accept: BAM_CNFG_BITS = %#x", got)
	}
	r.write(0, bam.BAMCtrl, 0, 1)
	if got := r.read(0, bam.BAMCtrl, 0); got != 2 {
		t.Errorf("RST_BLOCK did not block: BAM_CTRL = %#x", got)
	}
	r.write(0, bam.TrustReg, 0, 0)
	if got := r.read(0, bam.TrustReg, 0); got != 0x82 {
		t.Errorf("accept: TRUST_REG = %#x, want it untouched", got)
	}
}

func TestReservedAndReadOnlyBits(t *testing.T) {
	r := newRig(t, bam.Config{})
	r.write(0, bam.PCtrl, 4, 0xFFFF_FFFD)
	if got := r.read(0, bam.PCtrl, 4); got != 0x001F_0FF8 {
		t.Errorf("P_CTRL = %#x, want the implemented bits", got)
	}
	r.write(0, bam.BAMRevision, 0, 0)
	if got := r.read(0, bam.BAMRevision, 0); got == 0 {
		t.Error("BAM_REVISION was written")
	}
	// Registers without an effect are stored.
	for _, reg := range []bam.Reg{bam.PDataFIFOAddr, bam.PEvntGenTrshld, bam.PEvntDestAddr} {
		r.write(0, reg, 4, 0x1234)
		if got := r.read(0, reg, 4); got != 0x1234 {
			t.Errorf("%v = %#x, want what was written", reg, got)
		}
	}
}

// Each offset without a register is reported once, whoever touches it how often: as many
// offsets as findings tell apart.
func TestUnmodelledOffsets(t *testing.T) {
	r := newTraced(t, bam.Config{})
	by := trace.CPUOf(0)
	for range 3 {
		r.bam.Read(by, 0xF000)
	}
	r.bam.Write(by, 0xF000, 1)
	r.bam.Write(by, 0xFFFF_FFFC, 1)
	want := []finding{{"BAM-REG-003", 0xF000}, {"BAM-REG-003", 0xFFFF_FFFC}}
	if diff := cmp.Diff(want, findings(r.rec)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range 2 {
		for off := uint32(0x40000); off < 0x41000; off += 4 {
			if v := r.bam.Read(by, off); v != 0 {
				t.Errorf("%#x reads as %#x", off, v)
			}
		}
	}
	const most = 64
	for i := len(want); i < most; i++ {
		want = append(want, finding{"BAM-REG-003", 0x40000 + uint32(i-2)*4})
	}
	if diff := cmp.Diff(want, findings(r.rec)); diff != "" {
		t.Errorf("of many (-want +got):\n%s", diff)
	}
}

func TestHalt(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rx.Init(0)
	s.rx.Push(s.command(0, write(0, 1), write(4, 2)))
	s.rx.Publish()
	s.bam.Step(4)
	s.bam.Step(4)
	s.rx.Write(bam.PHalt, 1)
	if s.bam.Runnable() != 0 {
		t.Error("runnable while halted")
	}
	s.bam.Step(4)
	if s.loop.Regs[1] != 0 || s.rx.Read(bam.PSWOfsts) != 16<<16 {
		t.Error("moved while halted")
	}
	s.rx.Write(bam.PHalt, 0)
	bamtest.Run(s.bam, 10)
	if s.loop.Regs[1] != 2 || s.rx.Read(bam.PSWOfsts) != 8 {
		t.Error("did not go on")
	}
	if got := s.rx.Read(bam.PHalt); got != 1<<3 {
		t.Errorf("P_HALT = %#x, want PIPE_EMPTY", got)
	}
}

func TestConfigErrors(t *testing.T) {
	good := bam.Config{Layout: bam.V17, NumPipes: 8, NumEEs: 4, Window: bam.Window{Base: 0x3A000, Size: 0x6000}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*bam.Config){
		"layout":   func(c *bam.Config) { c.Layout = 9 },
		"pipes":    func(c *bam.Config) { c.NumPipes = 32 },
		"no pipes": func(c *bam.Config) { c.NumPipes = 0 },
		"EEs":      func(c *bam.Config) { c.NumEEs = 9 },
		"width":    func(c *bam.Config) { c.AddrBits = 33 },
		"old wide": func(c *bam.Config) { c.Layout, c.AddrBits = bam.V13, 36 },
		"control":  func(c *bam.Config) { c.ControlEE = 4 },
		"window":   func(c *bam.Config) { c.Window.Size = 0 },
		"owner":    func(c *bam.Config) { c.Owners = []uint8{5} },
		"burst":    func(c *bam.Config) { c.Burst = -1 },
		"reading":  func(c *bam.Config) { c.Readings.Unlock = 7 },
		"remote":   func(c *bam.Config) { c.Remote = 7 },
	} {
		c := good
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
