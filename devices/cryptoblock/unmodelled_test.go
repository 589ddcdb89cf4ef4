package cryptoblock_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/trace"
)

// A register that the models do not have stands once among the findings, with
// how often it was touched: by the CPU and by command elements.
func TestUnmodelledInFindings(t *testing.T) {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		t.Fatal(err)
	}
	var log *finding.Log
	var b *cryptoblock.Block
	log = finding.NewLog(func(e *trace.Event) string { return b.Describe(e) })
	if b, err = cryptoblock.New(*p, cryptoblock.Options{Sinks: []trace.Sink{log}}); err != nil {
		t.Fatal(err)
	}
	mem := bamtest.NewMemory(base, 1<<20)
	b.Attach(mem, nil)
	cpu := b.Port(p.EE)
	rx := &bamtest.Ring{Mem: mem, Base: base, Size: 0x100}
	reg := func(r bam.Reg) uint32 {
		off, _ := layout(t, p).Offset(r, p.RXPipe())
		return p.BAMOffset + off
	}
	cpu.Write(reg(bam.PDescFIFOAddr), uint32(rx.Base))
	cpu.Write(reg(bam.PFIFOSizes), rx.Size)
	cpu.Write(reg(bam.PCtrl), 0x22)

	const unknownQCE, other = 0x2f0, 0x2f4
	unknownBAM := p.BAMOffset + 0xf00
	for range 3 {
		cpu.Read(unknownBAM)
		cpu.Write(p.QCEOffset+unknownQCE, 1)
	}
	cpu.Write(unknownBAM, 1)
	cpu.Read(p.QCEOffset + other)
	for i := range uint64(4) {
		rx.Elements(base+0x1000+i*16, bamtest.Element{Addr: p.QCEOffset + unknownQCE, Data: uint32(i), Mask: ^uint32(0)})
		rx.Push(bamtest.Descriptor{Addr: base + 0x1000 + i*16, Size: 16, Flags: bam.FlagCMD})
	}
	cpu.Write(reg(bam.PEvntReg), rx.Tail)

	type count struct{ Reads, Writes uint64 }
	got := map[string]map[string]count{}
	text, err := json.Marshal(log.Findings())
	if err != nil {
		t.Fatal(err)
	}
	var findings []finding.Finding
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		got[f.ID] = map[string]count{}
		for _, r := range f.Registers {
			_, name, _ := strings.Cut(r.First, "(")
			name, _, _ = strings.Cut(strings.TrimSuffix(name, ")"), ",")
			got[f.ID][name] = count{r.Reads, r.Writes}
		}
	}
	want := map[string]map[string]count{
		"BAM-REG-003": {"BAM+0xf00": {3, 1}},
		"QCE-REG-001": {"0x2f0": {0, 7}, "0x2f4": {1, 0}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("registers among the findings (-want +got):\n%s\n%s", diff, text)
	}
}
