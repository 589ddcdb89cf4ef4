package backend

import (
	"bytes"
	"slices"
	"testing"

	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

type flat []byte

func (f flat) Read(at uint64, p []byte) error  { copy(p, f[at:]); return nil }
func (f flat) Write(at uint64, p []byte) error { copy(f[at:], p); return nil }

// TestJournalBegin: a request that begins ends what was complete before.
func TestJournalBegin(t *testing.T) {
	j := newJournal(make(flat, journalArea), 0)
	if err := j.commit(7, &virtqueue.Chain{}, 1); err != nil {
		t.Fatal(err)
	}
	if at, _, ok := j.complete(); !ok || uint32(at) != 7 {
		t.Fatalf("place %#x, complete: %v", at, ok)
	}
	if err := j.begin(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := j.complete(); ok {
		t.Error("the old request could be replayed after the new one has begun")
	}
}

// TestPart: a part of the memory is all that can be got at by it.
func TestPart(t *testing.T) {
	all := make(flat, 96)
	m := part{all, 32, 32}
	for _, c := range []struct {
		at uint64
		n  int
		ok bool
	}{{0, 32, true}, {31, 1, true}, {0, 33, false}, {32, 1, false}, {31, 2, false}, {^uint64(0), 2, false}, {^uint64(0) - 31, 1, false}} {
		p := bytes.Repeat([]byte{1}, c.n)
		if err := m.Write(c.at, p); (err == nil) != c.ok {
			t.Errorf("write of %d bytes at %#x: %v", c.n, c.at, err)
		}
		if err := m.Read(c.at, p); (err == nil) != c.ok {
			t.Errorf("read of %d bytes at %#x: %v", c.n, c.at, err)
		}
	}
	want := slices.Concat(make([]byte, 32), bytes.Repeat([]byte{1}, 32), make([]byte, 32))
	if !bytes.Equal(all, want) {
		t.Errorf("the memory is %x", all)
	}
}

// TestPlace: another request at the same position is told from the one that the
// journal is of.
func TestPlace(t *testing.T) {
	a, b := []virtqueue.Segment{{Addr: 1, Len: 2}}, []virtqueue.Segment{{Addr: 1, Len: 3}}
	seen := map[uint64]int{}
	for i, c := range []virtqueue.Chain{{}, {Out: a}, {In: a}, {Out: b}, {Out: a, In: a}, {Out: a, In: b}} {
		at := place(7, &c)
		if before, known := seen[at]; known || uint32(at) != 7 {
			t.Errorf("chain %d is at %#x, as is %d", i, at, before)
		}
		seen[at] = i
	}
}
