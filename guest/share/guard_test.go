package share

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qcemu/qcemu/guest/job"
)

// message puts a 9P message together.
func message(kind byte, tag uint16, body ...any) []byte {
	p := make([]byte, headerSize)
	p[4] = kind
	le := binary.LittleEndian
	le.PutUint16(p[5:], tag)
	for _, v := range body {
		switch v := v.(type) {
		case uint16:
			p = le.AppendUint16(p, v)
		case int: // the protocol's 32-bit numbers
			p = le.AppendUint32(p, uint32(v))
		case uint64:
			p = le.AppendUint64(p, v)
		case string:
			p = append(le.AppendUint16(p, uint16(len(v))), v...)
		case []byte:
			p = append(p, v...)
		}
	}
	le.PutUint32(p, uint32(len(p)))
	return p
}

const (
	tWalk  = 110
	tLopen = 12
	tWrite = 118
	noTag  = 0xffff
	noFid  = -1
)

func version() []byte { return message(tVersion, noTag, 64<<10, "9P2000.L") }
func attachTo(fid int) []byte {
	return message(tAttach, 1, fid, noFid, "root", "", 0)
}

// reply reads one message.
func reply(t *testing.T, c net.Conn) (kind byte, tag uint16, body []byte) {
	t.Helper()
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	body = make([]byte, binary.LittleEndian.Uint32(head)-headerSize)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return head[4], binary.LittleEndian.Uint16(head[5:]), body
}

// TestGuardRefuses sends what ends a connection, and looks that the next client
// is served as if nothing had been.
func TestGuardRefuses(t *testing.T) {
	setSize := func(p []byte, size uint32) []byte {
		binary.LittleEndian.PutUint32(p, size)
		return p
	}
	for name, c := range map[string]struct {
		send []byte
		want string
	}{
		"size below header": {setSize(version(), 6), "message of 6 bytes"},
		"giant size":        {setSize(version(), 0xffffffff), "message of 4294967295 bytes"},
		"tiny msize":        {message(tVersion, noTag, 1, "9P2000.L"), "messages of 1 bytes"},
		"giant msize":       {message(tVersion, noTag, 1<<30, "9P2000.L"), "messages of 1073741824 bytes"},
		"flush of itself":   {append(version(), message(tFlush, 7, uint16(7))...), "flush of itself"},
		"giant read":        {append(version(), message(tRead, 1, 1, uint64(0), 1<<30)...), "1073741824 bytes in one message"},
		"giant readdir":     {append(version(), message(tReaddir, 1, 1, uint64(0), 1<<30)...), "1073741824 bytes in one message"},
		"above msize":       {append(version(), message(tWrite, 1, 1, uint64(0), 64<<10, make([]byte, 64<<10))...), "it has agreed to 65536"},
		"our own tag":       {append(version(), message(tWalk, holdTag, 1, 2, uint16(0))...), "tag 65534, which is the server's own"},
		"flush of our own":  {append(version(), message(tFlush, 7, uint16(holdTag))...), "flush of tag 65534"},
		"cannot decode":     {append(version(), message(tWalk, 1, 1, 2, uint16(9))...), "cannot be decoded"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			conn, done := h.connect(t)
			go conn.Write(c.send)
			if err := <-done; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serve: %v; want an error with %q", err, c.want)
			}
			h.attach(t)
		})
	}
}

// TestGuardInFlight keeps a request busy in the host's callback while another message
// comes that must not come then.
func TestGuardInFlight(t *testing.T) {
	line := `{"type":"finished"}` + "\n"
	write := message(tWrite, 5, 2, uint64(0), len(line), []byte(line))
	for name, c := range map[string]struct {
		send []byte
		want string
	}{
		"the same tag":     {write, "tag 5 for two requests"},
		"flush of a flush": {append(message(tFlush, 6, uint16(5)), message(tFlush, 7, uint16(6))...), "flush of tag 6"},
	} {
		t.Run(name, func(t *testing.T) {
			busy, free := make(chan bool), make(chan bool)
			s, err := New(t.TempDir(), func(job.Event) { busy <- true; <-free }, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			conn, theirs := socketPair(t)
			defer conn.Close()
			done := make(chan error, 1)
			go func() { done <- s.Serve(context.Background(), theirs) }()
			openControl(t, conn)
			conn.Write(write)
			<-busy
			conn.Write(c.send)
			// The guard closes the connection; the callback is still at work.
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("there was a reply")
			}
			close(free)
			if err := <-done; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serve: %v; want an error with %q", err, c.want)
			}
		})
	}
}

// TestGuardRaisedSize agrees on larger messages than before: what is larger than
// before may come with the second message, for the server has looked at its limit
// before it took the first.
func TestGuardRaisedSize(t *testing.T) {
	large := message(tWrite, 1, 9, uint64(0), 8<<10, make([]byte, 8<<10)) // to a file that is not there
	for name, c := range map[string]struct {
		first []byte
		want  string
	}{
		"at once":               {large, "it has agreed to 4096"},
		"after a small message": {attachTo(1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			conn, done := h.connect(t)
			for _, m := range [][]byte{message(tVersion, noTag, 4<<10, "9P2000.L"), version()} {
				conn.Write(m)
				reply(t, conn)
			}
			conn.Write(c.first)
			if c.want == "" {
				reply(t, conn)
				conn.Write(large)
				reply(t, conn)
				conn.Close()
				if err := <-done; err != nil {
					t.Errorf("Serve: %v", err)
				}
				return
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serve: %v; want an error with %q", err, c.want)
			}
		})
	}
}

// openControl negotiates and opens the control file as fid 2.
func openControl(t *testing.T, conn net.Conn) {
	t.Helper()
	for _, m := range [][]byte{
		version(), attachTo(1),
		message(tWalk, 1, 1, 2, uint16(1), job.ControlName),
		message(tLopen, 1, 2, 1),
	} {
		conn.Write(m)
		if kind, _, body := reply(t, conn); kind != m[4]+1 {
			t.Fatalf("reply of type %d to %d: %x", kind, m[4], body)
		}
	}
}

// TestGuardHoldsBack floods the server and reads no reply: what waits is
// bounded by the sockets and maxInFlight, not by the client's patience.
func TestGuardHoldsBack(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, "f"), make([]byte, 32<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	conn, done := h.connect(t)
	for _, m := range [][]byte{version(), attachTo(1), message(tWalk, 1, 1, 2, uint16(1), "f"), message(tLopen, 1, 2, 0)} {
		conn.Write(m)
		reply(t, conn)
	}
	const requests = 5000
	sent := make(chan int, 1)
	go func() {
		n := 0
		for ; n < requests; n++ {
			if _, err := conn.Write(message(tRead, uint16(n), 2, uint64(0), 32<<10)); err != nil {
				break
			}
		}
		sent <- n
	}()
	select {
	case n := <-sent:
		t.Errorf("the server took %d requests of 32 KiB replies that nobody reads", n)
	case <-time.After(300 * time.Millisecond):
	}
	// As soon as somebody reads, everything is answered.
	for range requests {
		if kind, _, body := reply(t, conn); kind != tRead+1 || len(body) != 4+32<<10 {
			t.Fatalf("reply of type %d with %d bytes", kind, len(body))
		}
	}
	if n := <-sent; n != requests {
		t.Errorf("%d requests were sent, want %d", n, requests)
	}
	conn.Close()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// FuzzServe feeds a client's bytes to a server: it must come to an end without
// a panic, and leave nothing open.
func FuzzServe(f *testing.F) {
	f.Add(version())
	f.Add(append(version(), attachTo(1)...))
	f.Add(append(append(version(), attachTo(1)...), message(tWalk, 1, 1, 2, uint16(1), job.ControlName)...))
	f.Add(append(append(version(), attachTo(1)...), message(14, 1, 1, "new", 0x8041, 0o644, 0)...)) // Tlcreate
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := New(t.TempDir(), func(job.Event) {}, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ours, theirs := socketPair(t)
		done := make(chan error, 1)
		go func() { done <- s.Serve(context.Background(), theirs) }()
		go io.Copy(io.Discard, ours)
		ours.Write(data)
		ours.(*net.UnixConn).CloseWrite()
		<-done
		ours.Close()
		if open, nodes := s.open.Load(), s.nodes.Load(); open != 0 || nodes != 0 {
			t.Errorf("left: %d files open, %d nodes", open, nodes)
		}
	})
}
