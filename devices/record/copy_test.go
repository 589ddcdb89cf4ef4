package record

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/qcemu/qcemu/devices/model"
)

func copied(t *testing.T, file []byte, last uint64) []byte {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.qrec")
	if _, err := Copy(context.Background(), r, last, path); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCopy(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			run := runLinux(t, c, 2)
			res := replay(t, copied(t, run.file, 0))
			if res.Divergence != nil || !res.Complete || results(t, res.Model) != results(t, run.model) {
				t.Errorf("complete %v, divergence %v, or other results", res.Complete, res.Divergence)
			}
			part := replay(t, copied(t, run.file, 70))
			if part.Divergence != nil || !part.Complete || part.Entries != 70 {
				t.Errorf("70 entries: %d, complete %v, divergence %v", part.Entries, part.Complete, part.Divergence)
			}
		})
	}
}

// A recording that does not replay any more is brought up to date.
func TestCopyOfOutdated(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Check: &model.Check{}}, 1)
	loads := 0
	outdated := rewrite(t, run.file, func(n *rec) bool {
		if n.kind == leaveRec && n.value != 0 {
			loads++
			n.value ^= 1
		}
		return true
	})
	if res := replay(t, outdated); loads == 0 || res.Divergence == nil {
		t.Fatalf("%d loads changed, divergence %v", loads, res.Divergence)
	}
	if res := replay(t, copied(t, outdated, 0)); res.Divergence != nil || !res.Complete {
		t.Errorf("complete %v, divergence %v", res.Complete, res.Divergence)
	}
}

func TestImage(t *testing.T) {
	base := newImage(nil)
	base.write(pageSize-3, []byte{1, 2, 3, 4, 5})
	top := newImage(base)
	top.write(pageSize, []byte{9})
	got := make([]byte, 6)
	if known := top.read(pageSize-3, got); known || !bytes.Equal(got, []byte{1, 2, 3, 9, 5, 0}) {
		t.Errorf("known %v, %v", known, got)
	}
	if known := base.read(pageSize-3, got[:5]); !known || !bytes.Equal(got[:5], []byte{1, 2, 3, 4, 5}) {
		t.Errorf("below: known %v, %v", known, got[:5])
	}
	// Around the end of the address space, and when memory is full.
	top.write(^uint64(0)-1, []byte{1, 2, 3, 4})
	top.read(^uint64(0)-1, got)
	for i := range uint64(maxPages + 10) {
		top.write(i*pageSize, []byte{1})
	}
	if len(top.pages) > maxPages {
		t.Errorf("%d pages", len(top.pages))
	}
}
