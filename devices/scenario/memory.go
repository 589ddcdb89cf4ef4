package scenario

import "github.com/qcemu/qcemu/devices/bus"

// Every side's memory.
const (
	ramBase = 0x8000_0000
	ramSize = 0x4_0000
)

// places are the named addresses.
var places = map[string]uint64{
	"RXFIFO": ramBase, "TXFIFO": ramBase + 0x8000, "CODE": ramBase + 0x1_0000,
	"IN": ramBase + 0x2_0000, "OUT": ramBase + 0x3_0000, "END": ramBase + ramSize,
}

// memory is what a side's pipes master.
type memory struct {
	data      []byte
	holes     []extent
	protected []extent
}

type extent struct{ from, to uint64 }

func (x extent) touches(addr uint64, n int) bool { return addr < x.to && addr+uint64(n) > x.from }

// Read implements bus.Memory.
func (m *memory) Read(addr uint64, p []byte) error {
	if !m.has(addr, len(p)) {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
	}
	copy(p, m.data[addr-ramBase:])
	return nil
}

// Write implements bus.Memory.
func (m *memory) Write(addr uint64, p []byte) error {
	if !m.has(addr, len(p)) {
		return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: bus.Unmapped}
	}
	for _, x := range m.protected {
		if x.touches(addr, len(p)) {
			return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: bus.ReadOnly}
		}
	}
	copy(m.data[addr-ramBase:], p)
	return nil
}

func (m *memory) has(addr uint64, n int) bool {
	if addr < ramBase || addr-ramBase > ramSize || uint64(n) > ramSize-(addr-ramBase) {
		return false
	}
	for _, x := range m.holes {
		if x.touches(addr, n) {
			return false
		}
	}
	return true
}

// bytes is a part of memory, nil when not all of it is there.
func (m *memory) bytes(addr uint64, n int) []byte {
	if addr < ramBase || addr-ramBase > ramSize || uint64(n) > ramSize-(addr-ramBase) {
		return nil
	}
	return m.data[addr-ramBase:][:n]
}
