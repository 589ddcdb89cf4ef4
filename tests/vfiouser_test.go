package tests

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// cbc is AES-CBC with an IV of zeros.
func cbc(t testing.TB, key, data []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, data)
	return out
}

// TestRequests does whole requests of the driver's kinds through the socket, on
// every chip, and looks at the books afterwards.
func TestRequests(t *testing.T) {
	for _, soc := range cryptoblock.Profiles() {
		t.Run(soc, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--soc", soc)
			d := probe(connect(t, s.socket), soc)
			d.good()

			message := bytes.Repeat([]byte("abc"), 40000) // several descriptors
			a := d.series(qcetest.Digest{Hash: qcetest.SHA256, Data: message, First: true, Last: true})
			want := sha256.Sum256(message)
			if len(a.dump) < len(want) || !bytes.Equal(a.dump[:len(want)], want[:]) {
				t.Errorf("SHA-256: dump begins with % x, want % x", a.dump[:8], want[:8])
			}
			d.Close()
			s.stop()

			var got []attest.Row
			for _, r := range s.attestation() {
				r.Bytes = 0
				got = append(got, r)
			}
			ee := d.Profile.EE
			wantRows := []attest.Row{
				{EE: ee, Algorithm: "cbc-aes", Direction: "encrypt", KeyBits: 256, Requests: 2, ByCPU: 1, ByCommand: 1, Locked: 1},
				{EE: ee, Algorithm: "sha256", Direction: "digest", Requests: 1, ByCommand: 1, Locked: 1},
			}
			if diff := cmp.Diff(wantRows, got); diff != "" {
				t.Errorf("attestation (-want +got):\n%s", diff)
			}
			for id, f := range s.findings() {
				if f.Severity == "error" {
					t.Errorf("finding %s: %s (%s)", id, f.Title, f.First)
				}
			}
		})
	}
}

// TestInterrupt: the eventfd is signalled once for a rise of the line, and the
// line stays quiet when the handler has cleared the cause.
func TestInterrupt(t *testing.T) {
	s := serve(t)
	d := probe(connect(t, s.socket), cryptoblock.DefaultSoC)
	d.good()
	for cause := true; cause; { // the last request's, if the handler has left any
		d.handle()
		cause = d.BAMRead(bam.IRQSrcsEE, d.Profile.EE) != 0
	}
	// A handler that takes its time between unmasking and clearing the cause is
	// interrupted again, which is right.
	d.interrupted(0)
	if err := d.Unmask(); err != nil {
		t.Fatal(err)
	}
	d.read(d.Profile.QCEOffset + qce.Status)
	if d.interrupted(0) {
		t.Error("an interrupt without a cause")
	}
	s.stop()
}

// TestReconnect: clients come and go, with and without a word; the device keeps
// its state until RESET.
func TestReconnect(t *testing.T) {
	s := serve(t)
	c := connect(t, s.socket)
	d := probe(c, cryptoblock.DefaultSoC)
	d.good()
	d.QCEWrite(qce.EncrSegSize, 0x1234)
	if v := d.QCERead(qce.EncrSegSize); v != 0x1234 {
		t.Fatalf("ENCR_SEG_SIZE is %#x", v)
	}
	c.Close()

	// Without RESET: as after QEMU's end, before the next guest boots.
	raw, err := vfiotest.Dial(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Version(""); err != nil {
		t.Fatal(err)
	}
	at := uint64(d.Profile.QCEOffset + qce.EncrSegSize)
	b, err := raw.Read(wire.RegionBAR0, at, 4)
	if err != nil || binary.LittleEndian.Uint32(b) != 0x1234 {
		t.Errorf("after a new connection ENCR_SEG_SIZE is % x, %v, want it kept", b, err)
	}
	if err := raw.Reset(); err != nil {
		t.Fatal(err)
	}
	if b, err = raw.Read(wire.RegionBAR0, at, 4); err != nil || binary.LittleEndian.Uint32(b) != 0 {
		t.Errorf("after RESET ENCR_SEG_SIZE is % x, %v, want 0", b, err)
	}
	raw.Close()
	for range 5 {
		goodClient(t, s, cryptoblock.DefaultSoC)
	}
	s.stop()
}

// TestReset: RESET in the middle of a transfer, as a guest's reboot makes it,
// leaves a device that works.
func TestReset(t *testing.T) {
	s := serve(t)
	c := connect(t, s.socket)
	d := probe(c, cryptoblock.DefaultSoC)
	for cut := range 6 {
		// The series' chain up to some point, then RESET.
		r := qcetest.Cipher{Mode: qcetest.CTRAES, Key: make([]byte, 16), IV: make([]byte, 16), Encrypt: true, Data: make([]byte, 4096)}
		writes := d.Prepare(r).Writes
		for _, w := range writes[:len(writes)-cut] {
			d.QCEWrite(w.Off, w.Val)
		}
		d.Data(&d.RX, d.Input(), 1024*cut, 0) // less than SEG_SIZE
		d.Ring(&d.TX)
		d.Ring(&d.RX)
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
		c.boot()
		d = probe(c, cryptoblock.DefaultSoC)
		d.good()
	}
	c.Close()
	s.stop()
}

// TestNoLeak: a client's descriptors and mappings are given back with it.
func TestNoLeak(t *testing.T) {
	s := serve(t)
	goodClient(t, s, cryptoblock.DefaultSoC)
	atRest := func() bool { return s.maps() == 0 }
	eventually(t, "the first client's memory is unmapped", atRest)
	eventually(t, "the first client is gone", func() bool { return strings.Contains(s.stderr.String(), "client disconnected") })
	want := s.fds()
	for range 10 {
		goodClient(t, s, cryptoblock.DefaultSoC)
		// A client that hands over things and dies without using them.
		c := connect(t, s.socket)
		c.burden()
		c.Close()
	}
	eventually(t, "all memory is unmapped", atRest)
	var got []string
	eventually(t, "all descriptors are closed", func() bool {
		got = s.fds()
		return len(got) <= len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("descriptors (-before +after):\n%s", diff)
	}
	s.stop()
}

// burden hands over more: a second block of memory, and all three eventfds.
func (c *client) burden() {
	c.t.Helper()
	f, err := os.CreateTemp(c.t.TempDir(), "block")
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	f.Truncate(1 << 20)
	if err := c.Map(int(f.Fd()), wire.Map{Flags: wire.MapRead, Addr: 1 << 40, Size: 1 << 20}); err != nil {
		c.t.Fatal(err)
	}
	for _, action := range []uint32{wire.IRQActionTrigger, wire.IRQActionMask, wire.IRQActionUnmask} {
		if err := c.SetIRQs(wire.IRQSet{Flags: wire.IRQDataEventfd | action, Count: 1}, nil, c.irq); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestSecondClient: one client at a time; the second is told so and the first
// does not suffer.
func TestSecondClient(t *testing.T) {
	s := serve(t)
	d := probe(connect(t, s.socket), cryptoblock.DefaultSoC)
	second, err := vfiotest.Dial(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.Version(vfiotest.QEMUCapabilities); err == nil || err.Error() != "device or resource busy" {
		t.Errorf("the second client got %v, want EBUSY", err)
	}
	d.good()
	s.stop()
}

// TestUnsharedMemory: RAM without a descriptor is reached by messages, and the
// user is told what is wrong with it.
func TestUnsharedMemory(t *testing.T) {
	s := serve(t)
	c := connect(t, s.socket)
	if err := c.Unmap(wire.Unmap{Addr: ramBase, Size: ramSize}); err != nil {
		t.Fatal(err)
	}
	c.SetMemory(c.far)
	if err := c.Map(-1, wire.Map{Flags: wire.MapRead | wire.MapWrite, Addr: ramBase, Size: ramSize}); err != nil {
		t.Fatal(err)
	}
	probe(c, cryptoblock.DefaultSoC).good()
	c.Close()
	s.stop()
	if want := "start QEMU with memory-backend-memfd,share=on"; !strings.Contains(s.stderr.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, s.stderr.String())
	}
	if entries, err := filepath.Glob(filepath.Join(s.out, "*.json")); err != nil || len(entries) < 2 {
		t.Errorf("reports: %v, %v", entries, err)
	}
}

// TestPrivateMemory: QEMU passes a descriptor of RAM that it keeps to itself,
// too (share=off).
func TestPrivateMemory(t *testing.T) {
	s := serve(t)
	c := connect(t, s.socket)
	f := memfd(t, 1<<20)
	ram, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(ram)
	if err := c.Map(int(f.Fd()), wire.Map{Flags: wire.MapRead | wire.MapWrite, Addr: 1 << 32, Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.stop()
	if want := "guest RAM is not shared, DMA does not see what the guest writes: start QEMU with memory-backend-memfd,share=on"; strings.Count(s.stderr.String(), want) != 1 {
		t.Errorf("the log does not say once %q:\n%s", want, s.stderr.String())
	}
}
