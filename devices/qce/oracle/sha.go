package oracle

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"sync"
)

// hash is a hash function of FIPS 180-4, plainly.
type hash struct {
	block, state, digest int
	initial              []byte
	compress             func(state, block []byte) []byte
}

// hashes are numbered as AUTH_SEG_CFG.SIZE numbers them.
var hashes = [4]hash{
	{64, 20, 20, state(4, 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0), compress1},
	{64, 32, 32, roots(4, 32, 0), compress256},
	{128, 64, 48, roots(8, 64, 8), compress512},
	{128, 64, 64, roots(8, 64, 0), compress512},
}

func (h hash) run(state, p []byte) []byte {
	for ; len(p) > 0; p = p[h.block:] {
		state = h.compress(state, p[:h.block])
	}
	return state
}

// padding is what follows n bytes since the last block border, in a message of
// total bytes (FIPS 180-4 §5.1).
func (h hash) padding(n int, total uint64) []byte {
	length := h.block / 8
	zeros := (2*h.block - 1 - length - n%h.block) % h.block
	p := append([]byte{0x80}, make([]byte, zeros+length)...)
	binary.BigEndian.PutUint64(p[len(p)-8:], total<<3)
	if length == 16 {
		binary.BigEndian.PutUint64(p[len(p)-16:], total>>61)
	}
	return p
}

func state(size int, w ...uint64) (p []byte) {
	for _, x := range w {
		if size == 4 {
			p = binary.BigEndian.AppendUint32(p, uint32(x))
		} else {
			p = binary.BigEndian.AppendUint64(p, x)
		}
	}
	return p
}

// primes returns n primes.
func primes(n int) (p []int64) {
	for i := int64(2); len(p) < n; i++ {
		if big.NewInt(i).ProbablyPrime(0) {
			p = append(p, i)
		}
	}
	return p
}

// fraction is the first bits of the fractional part of a root of n: the
// constants of the SHA-2 family (FIPS 180-4 §4.2, §5.3).
func fraction(n int64, root, width uint) uint64 {
	x := new(big.Int).Lsh(big.NewInt(n), root*width)
	if root == 2 {
		x.Sqrt(x)
	} else {
		x = cubeRoot(x)
	}
	x.And(x, new(big.Int).SetUint64(math.MaxUint64>>(64-width)))
	return x.Uint64()
}

// cubeRoot is the integer cube root.
func cubeRoot(n *big.Int) *big.Int {
	lo, hi := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for {
		mid := new(big.Int).Add(lo, hi)
		mid.Rsh(mid, 1)
		if mid.Cmp(lo) == 0 {
			return lo
		}
		if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(n) <= 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// roots are eight initial words: square roots of primes, from the one numbered
// skip on.
func roots(size int, width uint, skip int) []byte {
	var w []uint64
	for _, p := range primes(skip + 8)[skip:] {
		w = append(w, fraction(p, 2, width))
	}
	return state(size, w...)
}

func cubes(n int, width uint) (k []uint64) {
	for _, p := range primes(n) {
		k = append(k, fraction(p, 3, width))
	}
	return k
}

// The round constants take some milliseconds to compute: not before they are
// needed.
var (
	k256 = sync.OnceValue(func() []uint64 { return cubes(64, 32) })
	k512 = sync.OnceValue(func() []uint64 { return cubes(80, 64) })
)

// compress1 is SHA-1: FIPS 180-4 §6.1.2.
func compress1(h, p []byte) []byte {
	var w [80]uint32
	var v [5]uint32
	for i := range v {
		v[i] = binary.BigEndian.Uint32(h[4*i:])
	}
	for t := range w {
		if t < 16 {
			w[t] = binary.BigEndian.Uint32(p[4*t:])
		} else {
			w[t] = bits.RotateLeft32(w[t-3]^w[t-8]^w[t-14]^w[t-16], 1)
		}
	}
	a, b, c, d, e := v[0], v[1], v[2], v[3], v[4]
	for t := range w {
		var f, k uint32
		switch t / 20 {
		case 0:
			f, k = b&c^^b&d, 0x5a827999
		case 1:
			f, k = b^c^d, 0x6ed9eba1
		case 2:
			f, k = b&c^b&d^c&d, 0x8f1bbcdc
		default:
			f, k = b^c^d, 0xca62c1d6
		}
		a, b, c, d, e = bits.RotateLeft32(a, 5)+f+e+k+w[t], a, bits.RotateLeft32(b, 30), c, d
	}
	var out []byte
	for i, x := range [5]uint32{a, b, c, d, e} {
		out = binary.BigEndian.AppendUint32(out, v[i]+x)
	}
	return out
}

// compress256 is SHA-256: FIPS 180-4 §6.2.2.
func compress256(h, p []byte) []byte {
	rotr := func(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }
	var w [64]uint32
	var v, s [8]uint32
	for i := range v {
		v[i] = binary.BigEndian.Uint32(h[4*i:])
	}
	for t := range w {
		if t < 16 {
			w[t] = binary.BigEndian.Uint32(p[4*t:])
			continue
		}
		x, y := w[t-2], w[t-15]
		w[t] = (rotr(x, 17) ^ rotr(x, 19) ^ x>>10) + w[t-7] + (rotr(y, 7) ^ rotr(y, 18) ^ y>>3) + w[t-16]
	}
	s = v
	k := k256()
	for t := range w {
		a, e := s[0], s[4]
		t1 := s[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e&s[5] ^ ^e&s[6]) + uint32(k[t]) + w[t]
		t2 := (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a&s[1] ^ a&s[2] ^ s[1]&s[2])
		s = [8]uint32{t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]}
	}
	var out []byte
	for i := range v {
		out = binary.BigEndian.AppendUint32(out, v[i]+s[i])
	}
	return out
}

// compress512 is SHA-512: FIPS 180-4 §6.4.2.
func compress512(h, p []byte) []byte {
	rotr := func(x uint64, n int) uint64 { return bits.RotateLeft64(x, -n) }
	var w [80]uint64
	var v, s [8]uint64
	for i := range v {
		v[i] = binary.BigEndian.Uint64(h[8*i:])
	}
	for t := range w {
		if t < 16 {
			w[t] = binary.BigEndian.Uint64(p[8*t:])
			continue
		}
		x, y := w[t-2], w[t-15]
		w[t] = (rotr(x, 19) ^ rotr(x, 61) ^ x>>6) + w[t-7] + (rotr(y, 1) ^ rotr(y, 8) ^ y>>7) + w[t-16]
	}
	s = v
	k := k512()
	for t := range w {
		a, e := s[0], s[4]
		t1 := s[7] + (rotr(e, 14) ^ rotr(e, 18) ^ rotr(e, 41)) + (e&s[5] ^ ^e&s[6]) + k[t] + w[t]
		t2 := (rotr(a, 28) ^ rotr(a, 34) ^ rotr(a, 39)) + (a&s[1] ^ a&s[2] ^ s[1]&s[2])
		s = [8]uint64{t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]}
	}
	var out []byte
	for i := range v {
		out = binary.BigEndian.AppendUint64(out, v[i]+s[i])
	}
	return out
}
