// Package reg describes hardware registers as data.
//
// One Register value is the decode, the reset value, the access rule, the name
// in logs and traces, the lint for reserved bits and the documentation of a
// register: a fact about a register is written once, in the table of the device
// that has it.
package reg

import (
	"fmt"
	"strings"
)

// Access says what software may do to a register.
type Access uint8

const (
	RW  Access = iota
	RO         // writes are ignored and reported
	WO         // reads return 0
	W1C        // a written 1 clears the bit of the register that STTS/CLR pairs share
)

func (a Access) String() string {
	return [...]string{"RW", "RO", "WO", "W1C", "?"}[min(int(a), 4)]
}

// ReadOnly reports whether writes have no effect.
func (a Access) ReadOnly() bool { return a == RO }

// Field is a named group of bits.
type Field struct {
	Name string
	Hi   uint8 // most significant bit
	Lo   uint8 // least significant bit
	Doc  string
}

// Bit is a one-bit field.
func Bit(n uint8, name, doc string) Field { return Field{Name: name, Hi: n, Lo: n, Doc: doc} }

// Bits is a field of bits hi down to lo.
func Bits(hi, lo uint8, name, doc string) Field { return Field{Name: name, Hi: hi, Lo: lo, Doc: doc} }

// Mask returns the field's bits in place.
func (f Field) Mask() uint32 { return ^uint32(0) >> (31 - (f.Hi-f.Lo)&31) << (f.Lo & 31) }

// Get extracts the field from a register value.
func (f Field) Get(v uint32) uint32 { return v << (31 - f.Hi&31) >> (31 - (f.Hi-f.Lo)&31) }

// Register describes one register, or a bank of Count equal ones.
type Register struct {
	Name   string // as in the datasheet, for a bank without the index
	Access Access
	Reset  uint32
	Fields []Field // empty: all 32 bits are one value
	Source string  // datasheet section and evidence mark, e.g. "§3 [D]"
	Doc    string  // one sentence
	Secret bool    // holds key material: values never leave the model
	Unused bool    // decoded and stored, without effect in the model
}

// Implemented returns the bits that exist: the union of the fields, or all of
// them for a register without fields.
func (r *Register) Implemented() uint32 {
	if len(r.Fields) == 0 {
		return ^uint32(0)
	}
	var m uint32
	for _, f := range r.Fields {
		m |= f.Mask()
	}
	return m
}

// Format renders a value with the names of its non-zero fields. The value of a
// secret register is not shown.
func (r *Register) Format(v uint32) string {
	if r.Secret {
		return "<secret>"
	}
	s := fmt.Sprintf("%#x", v)
	if len(r.Fields) == 0 || v == 0 {
		return s
	}
	var parts []string
	for _, f := range r.Fields {
		switch x := f.Get(v); {
		case x == 0:
		case f.Hi == f.Lo:
			parts = append(parts, f.Name)
		default:
			parts = append(parts, fmt.Sprintf("%s=%#x", f.Name, x))
		}
	}
	if rest := v &^ r.Implemented(); rest != 0 {
		parts = append(parts, fmt.Sprintf("reserved=%#x", rest))
	}
	return s + " " + strings.Join(parts, "|")
}
