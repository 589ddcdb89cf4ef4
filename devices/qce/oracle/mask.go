package oracle

import "github.com/qcemu/qcemu/devices/qce"

// DumpMask says which bytes of an operation's result dump follow from its
// configuration and input (0xff); the others are what was in the registers
// before, and the status words.
func DumpMask(c *qce.Latched) (mask [dumpEnd]byte) {
	w := decode(c)
	set := func(lo, n int) {
		for i := range n {
			mask[lo+i] = 0xff
		}
	}
	switch w.auth {
	case 1:
		set(0, [4]int{20, 32, 48, 64}[w.size&3])
		set(dumpByteCnt, 8)
	case 2:
		set(0, 16)
	}
	switch {
	case w.cipher == 1 && w.mode == 1:
		set(dumpIV, 8)
	case w.cipher == 2 && (w.mode == 1 || w.mode == 2):
		set(dumpIV, 16)
	}
	return mask
}

// Relevant is the part of a configuration that the result depends on: the rest
// is cleared. Two operations of equal relevant parts and input give the same.
func Relevant(c *qce.Latched) qce.Latched {
	w, r := decode(c), *c
	const data = 1<<4 | 15<<5 | 1<<9 // of CONFIG: register path, pipe set, byte order
	r.Config &= data
	key, iv := keySize(w), 0
	if w.cipher == 0 {
		r.EncrSegCfg, r.EncrSegSize, r.EncrSegStart = 0, 0, 0
	} else if w.mode != 0 {
		iv = 16
		if w.cipher == 1 {
			iv = 8
		}
	}
	clear(r.Key[key:])
	clear(r.IV[iv:])
	if counts := w.cipher == 2 && (w.mode == 2 || w.mode == 4); !counts {
		r.CntrMask = [4]uint32{}
	}
	if xts := w.cipher == 2 && w.mode == 3; xts {
		clear(r.XTSKey[key:])
	} else {
		r.XTSKey, r.XTSDUSize = [32]byte{}, 0
	}
	if !w.ccm() && !w.gcm() {
		r.CCMInitCntr, r.Nonce = [16]byte{}, [16]byte{}
	}
	if !w.gcm() {
		r.GCMIVLength = 0
	}
	relevantAuth(&r, w)
	return r
}

func keySize(w words) int {
	switch {
	case w.cipher == 1:
		return [4]int{8, 24, 16, 24}[w.keySize&3]
	case w.cipher == 2:
		return 16 + 8*int(w.keySize&3)
	}
	return 0
}

// relevantAuth is the part of Relevant for hash or MAC.
func relevantAuth(r *qce.Latched, w words) {
	state, count := 0, 0
	switch w.auth {
	case 0:
		r.AuthSegCfg, r.AuthSegSize, r.AuthSegStart, r.AuthKey = 0, 0, 0, [64]byte{}
	case 1:
		state, count = [4]int{20, 32, 64, 64}[w.size&3], 2
		if w.authMode == 0 {
			r.AuthKey = [64]byte{}
		}
	default:
		clear(r.AuthKey[16+8*int(w.authKey&3):])
		if w.authMode == 0 && !w.first {
			state = 16
		}
	}
	clear(r.AuthIV[state:])
	clear(r.ByteCnt[count:])
	if !w.compare {
		r.ExpMAC = [64]byte{}
	}
}
