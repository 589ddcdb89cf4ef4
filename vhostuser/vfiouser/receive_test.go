package vfiouser

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// got is a message as the decoder under test and the reference see it.
type got struct {
	ID      uint16
	Cmd     wire.Command
	Payload string
}

// reference decodes a whole stream the simple way, up to the first mistake.
func reference(b []byte) (list []got) {
	for len(b) >= wire.HeaderSize {
		var h wire.Header
		h.Get(b)
		if h.Size < wire.HeaderSize || h.Size > maxMessage || int(h.Size) > len(b) {
			return list
		}
		list = append(list, got{h.ID, h.Cmd, string(b[wire.HeaderSize:h.Size])})
		b = b[h.Size:]
	}
	return list
}

// decode sends the stream in pieces through a socket and a receiver. Every
// third message is left in the buffer, pinned, while more arrives.
func decode(t *testing.T, stream []byte, pieces []byte) (list []got) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := vhostuser.NewSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := vhostuser.NewSocket(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer b.Close()
		for i := 0; len(stream) > 0; i++ {
			n := len(stream)
			if i < len(pieces) {
				n = min(n, 1+int(pieces[i]))
			}
			if b.Send(stream[:n], nil) != nil {
				return
			}
			stream = stream[n:]
		}
	}()
	rx := newReceiver(a, nil)
	defer rx.release()
	var m message
	var held *got
	var heldBytes []byte
	for {
		ok, err := rx.next(&m)
		if err != nil {
			return list
		}
		if !ok {
			if err := rx.fill(true); err != nil {
				return list
			}
			continue
		}
		if held != nil && held.Payload != string(heldBytes) {
			t.Error("a payload changed while it was in use")
		}
		list = append(list, got{m.ID, m.Cmd, string(m.payload)})
		held, rx.pinned = nil, false
		if len(list)%3 == 0 {
			held, heldBytes, rx.pinned = &list[len(list)-1], m.payload, true
		}
	}
}

func stream(sizes ...int) []byte {
	var b []byte
	for i, n := range sizes {
		h := make([]byte, wire.HeaderSize)
		(&wire.Header{ID: uint16(i), Cmd: wire.RegionWrite, Size: uint32(wire.HeaderSize + n)}).Put(h)
		b = append(append(b, h...), bytes.Repeat([]byte{byte(i)}, n)...)
	}
	return b
}

func TestReceiver(t *testing.T) {
	for name, s := range map[string][]byte{
		"small":      stream(0, 16, 20, 0, 100),
		"largest":    stream(maxMessage-wire.HeaderSize, 0, maxMessage-wire.HeaderSize, 5, maxMessage-wire.HeaderSize, maxMessage-wire.HeaderSize),
		"too large":  stream(4, maxMessage-wire.HeaderSize+1),
		"incomplete": stream(4, 400)[:100],
	} {
		for _, pieces := range [][]byte{nil, {0}, bytes.Repeat([]byte{6}, 50), {15, 255, 255, 0, 0, 0, 3}} {
			if diff := cmp.Diff(reference(s), decode(t, s, pieces)); diff != "" {
				t.Errorf("%s in pieces %v (-want +got):\n%.500s", name, pieces, diff)
			}
		}
	}
}

// FuzzReceiver: however a stream is cut, the messages are those of the whole.
func FuzzReceiver(f *testing.F) {
	f.Add(stream(0, 16, 20), []byte{0, 1, 2})
	f.Add(stream(4, 300, 4, 0, 0, 7), []byte{200})
	f.Add(stream(4, 400)[:90], []byte{})
	f.Fuzz(func(t *testing.T, s, pieces []byte) {
		if diff := cmp.Diff(reference(s), decode(t, s, pieces)); diff != "" {
			t.Errorf("(-want +got):\n%.500s", diff)
		}
	})
}
