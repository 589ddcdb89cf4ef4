package backend

import "testing"

type flat []byte

func (f flat) Read(at uint64, p []byte) error  { copy(p, f[at:]); return nil }
func (f flat) Write(at uint64, p []byte) error { copy(f[at:], p); return nil }

// TestJournalBegin: a request that begins ends what was complete before.
func TestJournalBegin(t *testing.T) {
	j := newJournal(make(flat, journalArea), 0)
	if err := j.commit(7, 1); err != nil {
		t.Fatal(err)
	}
	if pos, _, ok := j.complete(); !ok || pos != 7 {
		t.Fatalf("position %d, complete: %v", pos, ok)
	}
	if err := j.begin(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := j.complete(); ok {
		t.Error("the old request could be replayed after the new one has begun")
	}
}
