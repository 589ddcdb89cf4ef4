package afalg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// control is a control message, decoded by x/sys.
type control struct {
	Kind int32
	Data []byte
}

func decodeControl(t *testing.T, b []byte) []control {
	t.Helper()
	msgs, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	var out []control
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_ALG {
			t.Errorf("control message of level %d", m.Header.Level)
		}
		out = append(out, control{m.Header.Type, m.Data})
	}
	return out
}

func TestControlData(t *testing.T) {
	iv := []byte("0123456789abcdef")
	encrypt, decrypt := word(1), word(0)
	withIV := append(word(16), iv...)
	for _, tt := range []struct {
		name  string
		d     Direction
		iv    []byte
		assoc int
		want  []control
	}{
		{"no IV", Encrypt, nil, -1, []control{{unix.ALG_SET_OP, encrypt}}},
		{"IV", Decrypt, iv, -1, []control{{unix.ALG_SET_OP, decrypt}, {unix.ALG_SET_IV, withIV}}},
		{"no associated data", Encrypt, iv, 0, []control{
			{unix.ALG_SET_OP, encrypt}, {unix.ALG_SET_IV, withIV}, {unix.ALG_SET_AEAD_ASSOCLEN, word(0)}}},
		{"associated data", Encrypt, iv[:8], 20, []control{
			{unix.ALG_SET_OP, encrypt}, {unix.ALG_SET_IV, append(word(8), iv[:8]...)}, {unix.ALG_SET_AEAD_ASSOCLEN, word(20)}}},
	} {
		b := controlData(tt.d, tt.iv, tt.assoc)
		if diff := cmp.Diff(tt.want, decodeControl(t, b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestAuthencKey(t *testing.T) {
	got := AuthencKey([]byte("AUTH"), []byte("encenc"))
	want := binary.NativeEndian.AppendUint16(nil, 8)
	want = binary.NativeEndian.AppendUint16(want, 1)
	want = append(want, 0, 0, 0, 6)
	want = append(want, "AUTHencenc"...)
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestAdvance(t *testing.T) {
	bufs := func(s ...string) [][]byte {
		var out [][]byte
		for _, x := range s {
			out = append(out, []byte(x))
		}
		return out
	}
	for _, tt := range []struct {
		n    int
		want [][]byte
	}{
		{0, bufs("ab", "cde")}, {1, bufs("b", "cde")}, {2, bufs("cde")}, {4, bufs("e")}, {5, nil},
	} {
		in := bufs("ab", "cde")
		got := advance(in, tt.n)
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("advance by %d (-want +got):\n%s", tt.n, diff)
		}
		if diff := cmp.Diff(bufs("ab", "cde"), in); diff != "" {
			t.Errorf("advance by %d changed its argument:\n%s", tt.n, diff)
		}
	}
}

// pair returns a request whose other end is an ordinary socket. It keeps the
// limits of messages, and ignores control messages of a foreign level.
func pair(t *testing.T) (*request, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return &request{fd: fds[0], t: &transform{fd: -1, name: "test"}}, fds[1]
}

func TestSend(t *testing.T) {
	r, peer := pair(t)
	if err := r.send(true, controlData(Encrypt, nil, 2), []byte("ab"), nil, []byte("cde")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, _ := unix.Read(peer, buf); string(buf[:n]) != "abcde" {
		t.Errorf("sent %q", buf[:n])
	}
	// An empty message stays empty.
	if err := r.send(false, controlData(Encrypt, nil, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(peer, buf); n != 0 || err != nil {
		t.Errorf("an empty message arrived with %d bytes, %v", n, err)
	}
}

func TestReceiveFull(t *testing.T) {
	r, peer := pair(t)
	unix.Write(peer, []byte("abc"))
	unix.Write(peer, []byte("de"))
	dst := make([]byte, 5)
	if err := r.receiveFull(dst); err != nil || string(dst) != "abcde" {
		t.Errorf("got %q, %v", dst, err)
	}
	unix.Write(peer, []byte("abc"))
	unix.Close(peer)
	var e *Error
	if err := r.receiveFull(dst); !errors.As(err, &e) || e.Op != "receive" {
		t.Errorf("short answer: %v", err)
	}
}

func TestStreamKeepsUnits(t *testing.T) {
	r, peer := pair(t)
	s := &CipherStream{r: r, control: controlData(Encrypt, nil, -1), unit: 16}
	answer := make([]byte, 64)
	for i, step := range []struct {
		send  int
		last  bool
		ready int
	}{{10, false, 0}, {10, false, 16}, {12, false, 16}, {5, false, 0}, {4, true, 9}} {
		if step.ready > 0 {
			unix.Write(peer, answer[:step.ready])
		}
		got, err := s.Next(make([]byte, step.send), step.last)
		if err != nil || len(got) != step.ready {
			t.Errorf("chunk %d: %d bytes ready, %v; want %d", i, len(got), err, step.ready)
		}
		unix.Read(peer, make([]byte, 64))
	}
	if _, err := s.Next(make([]byte, 64<<10+1), true); err == nil {
		t.Error("an oversized chunk passed")
	}
}

func TestSpliceReportsShortFile(t *testing.T) {
	r, _ := pair(t)
	name := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.splice(f, 10); err == nil || !strings.Contains(err.Error(), "7 bytes early") {
		t.Errorf("got %v", err)
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", maxName)} {
		_, err := NewHash(name, nil)
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
	}
	if _, err := (&AEAD{t: &transform{name: "x"}, tag: 16}).Open(nil, nil, make([]byte, 15)); err == nil {
		t.Error("a message shorter than its tag passed")
	}
	if _, err := (&Cipher{&transform{name: "x"}}).Stream(Encrypt, nil, 0); err == nil {
		t.Error("a stream without a unit passed")
	}
}

// kernel skips the test where the kernel has no AF_ALG or not that algorithm.
func kernel(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelHash(t *testing.T) {
	h, err := NewHash("sha256", nil)
	kernel(t, err)
	defer h.Close()
	whole, err := h.Sum([]byte("abc"))
	if err != nil || !bytes.HasPrefix(whole, []byte{0xba, 0x78, 0x16, 0xbf}) || len(whole) != 32 {
		t.Errorf("sha256 of abc: %x, %v", whole, err)
	}
	parts, err := h.SumChunks([]byte("abc"), 1)
	if err != nil || !bytes.Equal(parts, whole) {
		t.Errorf("in chunks: %x, %v", parts, err)
	}
}

func TestKernelCipher(t *testing.T) {
	c, err := NewCipher("cbc(aes)", make([]byte, 16))
	kernel(t, err)
	defer c.Close()
	plain, iv := bytes.Repeat([]byte("message "), 1<<17), make([]byte, 16)
	sealed, err := c.Crypt(Encrypt, iv, plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed, plain) {
		t.Error("not encrypted")
	}
	back, err := c.Crypt(Decrypt, iv, sealed)
	if err != nil || !bytes.Equal(back, plain) {
		t.Errorf("not the same after decryption: %v", err)
	}
}

func TestKernelAEAD(t *testing.T) {
	a, err := NewAEAD("ccm(aes)", make([]byte, 16), 8)
	kernel(t, err)
	defer a.Close()
	iv := append([]byte{2}, make([]byte, 15)...)
	sealed, err := a.Seal(iv, []byte("assoc"), []byte("plain"))
	if err != nil || len(sealed) != 13 {
		t.Fatalf("%x, %v", sealed, err)
	}
	plain, err := a.Open(iv, []byte("assoc"), sealed)
	if err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	sealed[12] ^= 1
	if _, err := a.Open(iv, []byte("assoc"), sealed); !errors.Is(err, unix.EBADMSG) {
		t.Errorf("tampered tag: %v", err)
	}
}
