package vhostuser

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrompt: the thread's other properties stay, and all of it is taken back.
func TestPrompt(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	get := func() unix.SchedAttr {
		at, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Skip("the system does not tell: ", err)
		}
		return *at
	}
	before := get()
	restore := Prompt()
	during := get()
	if during.Policy != before.Policy || during.Nice != before.Nice || during.Flags != before.Flags {
		t.Errorf("before %+v, then %+v", before, during)
	}
	if during.Runtime != before.Runtime && during.Runtime != slice {
		t.Errorf("slices of %d ns, want %d", during.Runtime, slice)
	}
	restore()
	if after := get(); after != before {
		t.Errorf("before %+v, afterwards %+v", before, after)
	}
}
