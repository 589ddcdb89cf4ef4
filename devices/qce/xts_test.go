package qce

import "testing"

// BenchmarkXTS4KMode is the engine's own XTS on the same bytes, key schedules
// and tweak included: what the best cipher alone would cost.
func BenchmarkXTS4KMode(b *testing.B) {
	var keys schedules
	x := xts{encrypt: true, steal: true}
	key := make([]byte, 64)
	for i := range key {
		key[i] = byte(i)
	}
	p, iv := make([]byte, 4096), make([]byte, 16)
	b.SetBytes(4096)
	for b.Loop() {
		x.block, x.tweak = keys.get(famAES, key[:32]).block, keys.get(famAES, key[32:]).block
		x.init(iv)
		x.crypt(p)
	}
}

// TestScheduleCache: more keys than slots, in any order, each finds its own
// schedule.
func TestScheduleCache(t *testing.T) {
	var s schedules
	want := map[byte][16]byte{}
	encrypt := func(i byte) (out [16]byte) {
		key := make([]byte, 16)
		key[15] = i
		s.get(famAES, key).block.Encrypt(out[:], out[:])
		return out
	}
	for round := range 3 {
		for i := range byte(40) {
			i = byte(int(i) * (1 + 2*round) % 40)
			got := encrypt(i)
			if old, ok := want[i]; ok && old != got {
				t.Fatalf("key %d gives another result in round %d", i, round)
			}
			want[i] = got
		}
	}
	if a, b := s.get(famDES, make([]byte, 8)), s.get(famAES, make([]byte, 16)); a == b || a.block == b.block {
		t.Error("two ciphers share a schedule")
	}
	s.forget()
	for _, e := range s.slots {
		if e.block != nil || e.key != [32]byte{} {
			t.Error("a key is still there")
		}
	}
}
