package wire

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSizes: the layouts have the lengths that the specification gives.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want int
	}{
		{"Map", binary.Size(Map{}), MapSize},
		{"Unmap", binary.Size(Unmap{}), UnmapSize},
		{"DeviceInfo", binary.Size(DeviceInfo{}), DeviceInfoSize},
		{"RegionInfo", binary.Size(RegionInfo{}), RegionInfoSize},
		{"RegionFDs", binary.Size(RegionFDs{}), RegionFDsSize},
		{"IRQInfo", binary.Size(IRQInfo{}), IRQInfoSize},
		{"Feature", binary.Size(Feature{}), FeatureSize},
		{"IRQSet", binary.Size(IRQSet{}), IRQSetSize},
		{"RegionAccess", binary.Size(RegionAccess{}), RegionAccessSize},
		{"DMAAccess", binary.Size(DMAAccess{}), DMAAccessSize},
		{"Header", binary.Size(Header{}), HeaderSize},
	} {
		if tt.got != tt.want {
			t.Errorf("%s has %d bytes, want %d", tt.name, tt.got, tt.want)
		}
	}
}

// TestHandWritten: the encodings of the data path agree with the generic one.
func TestHandWritten(t *testing.T) {
	b := make([]byte, 32)
	h := Header{ID: 0x1234, Cmd: RegionRead, Size: 0x56789abc, Flags: 0xdeadbeef, Errno: 22}
	h.Put(b)
	if diff := cmp.Diff(h, Get[Header](b)); diff != "" {
		t.Errorf("Header.Put (-want +got):\n%s", diff)
	}
	var h2 Header
	h2.Get(b)
	a := RegionAccess{Offset: 1<<40 | 5, Region: 7, Count: 9}
	a.Put(b)
	if diff := cmp.Diff(a, Get[RegionAccess](b)); diff != "" {
		t.Errorf("RegionAccess.Put (-want +got):\n%s", diff)
	}
	var a2 RegionAccess
	a2.Get(b)
	d := DMAAccess{Addr: 1 << 50, Count: 77}
	d.Put(b)
	if diff := cmp.Diff(d, Get[DMAAccess](b)); diff != "" {
		t.Errorf("DMAAccess.Put (-want +got):\n%s", diff)
	}
	var d2 DMAAccess
	d2.Get(b)
	q := IRQSet{1, 2, 3, 4, 5}
	q.Put(b)
	if diff := cmp.Diff(q, Get[IRQSet](b)); diff != "" {
		t.Errorf("IRQSet.Put (-want +got):\n%s", diff)
	}
	var q2 IRQSet
	q2.Get(b)
	if diff := cmp.Diff([]any{h, a, d, q}, []any{h2, a2, d2, q2}); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
}

func TestCommandNames(t *testing.T) {
	for c, want := range map[Command]string{Version: "VERSION", MigDataWrite: "MIG_DATA_WRITE", 0: "command 0", 14: "command 14", 0xffff: "command 65535"} {
		if got := c.String(); got != want {
			t.Errorf("Command %d is %q, want %q", uint16(c), got, want)
		}
	}
}

func FuzzCapabilities(f *testing.F) {
	for _, s := range []string{"", "\x00", "{}\x00", `{"capabilities":{"max_msg_fds":1,"pgsizes":4096,"write_multiple":true}}` + "\x00", "null\x00", "[]\x00", `{"capabilities":null}` + "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, said, err := ParseCapabilities(b)
		if err != nil || !said {
			return
		}
		again, said, err := ParseCapabilities(AppendCapabilities(nil, c))
		if diff := cmp.Diff(c, again); err != nil || !said || diff != "" {
			t.Errorf("round trip: %v, %v (-want +got):\n%s", said, err, diff)
		}
	})
}
