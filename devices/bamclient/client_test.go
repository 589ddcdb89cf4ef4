package bamclient_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bamclient/software"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/trace"
)

// buffer is an operation's data in memory.
type buffer []byte

func (b buffer) Read(off uint64, p []byte) error {
	if off+uint64(len(p)) > uint64(len(b)) {
		return &bus.Fault{Addr: off, Len: len(p), Reason: bus.Unmapped}
	}
	copy(p, b[off:])
	return nil
}

func (b buffer) Write(off uint64, p []byte) error {
	if off+uint64(len(p)) > uint64(len(b)) {
		return &bus.Fault{Addr: off, Len: len(p), Write: true, Reason: bus.Unmapped}
	}
	copy(b[off:], p)
	return nil
}

// anomalies collects the rules that were broken.
type anomalies struct {
	mu   sync.Mutex
	seen []string
}

func (a *anomalies) Emit(e *trace.Event) {
	if e.Kind == trace.Anomaly {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen = append(a.seen, e.Rule.ID+" "+e.Rule.Title)
	}
}

type rig struct {
	block  *cryptoblock.Block
	client *bamclient.Client
	found  *anomalies
	count  *attest.Counter
	oracle *oracle.Checker
}

func newRig(t testing.TB, soc string, o cryptoblock.Options) *rig {
	t.Helper()
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{found: &anomalies{}, count: attest.NewCounter(), oracle: oracle.NewChecker(1 << 20)}
	r.client, err = bamclient.New("test", p, p.Places()[0])
	if err != nil {
		t.Fatal(err)
	}
	o.Clients = append(o.Clients, r.client.Block())
	o.Sinks = append(o.Sinks, r.found, r.count)
	o.Observer = r.oracle
	if r.block, err = cryptoblock.New(*p, o); err != nil {
		t.Fatal(err)
	}
	r.client.Attach(r.block)
	t.Cleanup(func() {
		if len(r.found.seen) > 0 {
			t.Errorf("rules broken: %v", r.found.seen)
		}
		if m := r.oracle.Mismatches(); len(m) > 0 {
			t.Errorf("model differs from the oracle: %v", m)
		}
	})
	return r
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// keyLens are the lengths of the keys that the engine has of each cipher.
var keyLens = map[bamclient.Cipher][]int{
	bamclient.AESECB: {16, 32}, bamclient.AESCBC: {16, 32}, bamclient.AESCTR: {16, 32}, bamclient.AESXTS: {32, 64},
	bamclient.DESECB: {8}, bamclient.DESCBC: {8}, bamclient.TDESECB: {24}, bamclient.TDESCBC: {24},
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestAgainstSoftware does operations of every cipher, hash and chain on the
// engine and in software.
func TestAgainstSoftware(t *testing.T) {
	r := newRig(t, "ideal", cryptoblock.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	var ops []*bamclient.Operation
	sizes := []uint32{16, 48, 4096, 40000}
	auths := []bamclient.Auth{bamclient.NoAuth, bamclient.SHA1, bamclient.SHA256, bamclient.SHA384, bamclient.SHA512, bamclient.HMACSHA1, bamclient.HMACSHA256}
	for _, size := range sizes {
		for c, lens := range keyLens {
			for _, n := range lens {
				for _, a := range auths {
					if c == bamclient.AESXTS && a != bamclient.NoAuth {
						continue
					}
					for _, encrypt := range []bool{true, false} {
						op := &bamclient.Operation{Cipher: c, Key: random(rng, n), IV: random(rng, c.IVLen()), Encrypt: encrypt, Auth: a, Len: size, CipherLen: size}
						if c == bamclient.AESXTS {
							clear(op.IV[8:]) // what the software knows
						}
						if a != bamclient.NoAuth {
							op.AuthKey, op.AuthAfter = random(rng, 20), rng.IntN(2) == 0
							op.AuthLen = size
							if size > 64 { // associated data in front
								op.CipherStart, op.CipherLen = 16, size-16
							}
						}
						ops = append(ops, op)
					}
				}
			}
		}
		for _, a := range auths[1:] {
			ops = append(ops, &bamclient.Operation{Auth: a, AuthKey: random(rng, 64), Len: size - 3, AuthLen: size - 3})
		}
	}
	for _, op := range ops {
		name := fmt.Sprintf("%v %v %d %v", op.Cipher, op.Auth, op.Len, op.Encrypt)
		in := random(rng, int(op.Len))
		want := *op
		wantOut, gotOut := make(buffer, op.Len), make(buffer, op.Len)
		op.In, op.Out, want.In, want.Out = buffer(in), gotOut, buffer(in), wantOut
		if err := (software.Engine{}).Do(&want, nil); err != nil {
			t.Fatalf("%s: software: %v", name, err)
		}
		if err := r.client.Do(op, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := op.Auth.Size()
		if !bytes.Equal(gotOut, wantOut) || !bytes.Equal(op.Result[:n], want.Result[:n]) {
			t.Errorf("%s: result differs", name)
		}
	}
	for _, row := range r.count.Rows() {
		if row.Errors > 0 || row.Locked != row.Requests || row.ByCommand != row.Requests {
			t.Errorf("not all by commands under lock: %+v", row)
		}
	}
}

// TestCMAC has the examples of RFC 4493 §4 and one of 256 bits (SP 800-38B D.3).
func TestCMAC(t *testing.T) {
	r := newRig(t, "sdm845", cryptoblock.Options{})
	key := unhex("2b7e151628aed2a6abf7158809cf4f3c")
	text := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for _, c := range []struct {
		key  []byte
		n    uint32
		want string
	}{
		{key, 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{key, 40, "dfa66747de9ae63030ca32611497c827"},
		{key, 64, "51f0bebf7e3b9d92fc49741779363cfe"},
		{unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"), 40, "aaf3d8f1de5640c232f5b169b9c911e6"},
	} {
		op := &bamclient.Operation{Auth: bamclient.CMACAES, AuthKey: c.key, In: buffer(text), Len: c.n, AuthLen: c.n}
		if err := r.client.Do(op, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, hex.EncodeToString(op.Result[:16])); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", c.n, diff)
		}
	}
}

// TestCCM has the examples of SP 800-38C, appendix C.
func TestCCM(t *testing.T) {
	r := newRig(t, "sdm845", cryptoblock.Options{})
	long := make([]byte, 524288/8)
	for i := range long {
		long[i] = byte(i)
	}
	key := unhex("404142434445464748494a4b4c4d4e4f")
	for i, c := range []struct {
		nonce, aad, text []byte
		cipher, tag      string
	}{
		{unhex("10111213141516"), unhex("0001020304050607"), unhex("20212223"), "7162015b", "4dac255d"},
		{unhex("1011121314151617"), unhex("000102030405060708090a0b0c0d0e0f"), unhex("202122232425262728292a2b2c2d2e2f"), "d2a1f0e051ea5f62081a7792073d593d", "1fc64fbfaccd"},
		{unhex("101112131415161718191a1b"), unhex("000102030405060708090a0b0c0d0e0f10111213"), unhex("202122232425262728292a2b2c2d2e2f3031323334353637"), "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5", "484392fbc1b09951"},
		{unhex("101112131415161718191a1b1c"), long, unhex("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"), "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72", "b4ac6bec93e8598e7f0dadbcea5b"},
	} {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			aead(t, r, bamclient.AESCCM, key, c.nonce, c.aad, c.text, unhex(c.cipher), unhex(c.tag))
		})
	}
}

func TestGCM(t *testing.T) {
	r := newRig(t, "ideal", cryptoblock.Options{})
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 16, 100, 5000} {
		for _, a := range []int{0, 13, 32} {
			key, nonce, aad, text := random(rng, 32), random(rng, 12), random(rng, a), random(rng, n)
			b, _ := aes.NewCipher(key)
			g, _ := cipher.NewGCM(b)
			sealed := g.Seal(nil, nonce, text, aad)
			aead(t, r, bamclient.AESGCM, key, nonce, aad, text, sealed[:n], sealed[n:])
		}
	}
}

func aead(t *testing.T, r *rig, c bamclient.Cipher, key, nonce, aad, text, sealed, tag []byte) {
	t.Helper()
	out := make(buffer, len(text))
	op := bamclient.Operation{Cipher: c, Encrypt: true, Key: key, IV: nonce, AAD: buffer(aad), AADLen: uint32(len(aad)), TagLen: len(tag), In: buffer(text), Out: out, Len: uint32(len(text))}
	if err := r.client.Do(&op, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, sealed) || !bytes.Equal(op.Result[:len(tag)], tag) {
		t.Errorf("encrypt: %x %x, want %x %x", []byte(out), op.Result[:len(tag)], sealed, tag)
	}
	op.Encrypt, op.In, op.Result = false, buffer(sealed), [64]byte{}
	copy(op.Result[:], tag)
	if err := r.client.Do(&op, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, text) {
		t.Errorf("decrypt: %x, want %x", []byte(out), text)
	}
	op.Result[0] ^= 1
	if err := r.client.Do(&op, nil); !errors.Is(err, bamclient.ErrTag) {
		t.Errorf("wrong tag: %v", err)
	}
}

func TestUnsupported(t *testing.T) {
	r := newRig(t, "ipq4019", cryptoblock.Options{})
	in := make(buffer, 64)
	for name, op := range map[string]*bamclient.Operation{
		"AES-192":         {Cipher: bamclient.AESCBC, Key: in[:24], IV: in[:16], Len: 16, CipherLen: 16},
		"no GCM":          {Cipher: bamclient.AESGCM, Key: in[:16], IV: in[:12], Len: 16, TagLen: 16},
		"no SHA-512":      {Auth: bamclient.SHA512, Len: 16, AuthLen: 16},
		"empty":           {Auth: bamclient.SHA256},
		"partial block":   {Cipher: bamclient.AESCBC, Key: in[:16], IV: in[:16], Len: 17, CipherLen: 17},
		"part outside":    {Cipher: bamclient.AESCTR, Key: in[:16], IV: in[:16], Len: 16, CipherStart: 8, CipherLen: 16},
		"short IV":        {Cipher: bamclient.AESCBC, Key: in[:16], IV: in[:8], Len: 16, CipherLen: 16},
		"key of 65 bytes": {Auth: bamclient.HMACSHA256, AuthKey: make([]byte, 65), Len: 16, AuthLen: 16},
		"too long":        {Auth: bamclient.SHA256, Len: bamclient.MaxLen + 1, AuthLen: 16},
	} {
		op.In, op.Out = in, in
		if err := r.client.Do(op, nil); !errors.Is(err, bamclient.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func cbc(in, out bamclient.Data, n uint32) *bamclient.Operation {
	return &bamclient.Operation{Cipher: bamclient.AESCBC, Encrypt: true, Key: make([]byte, 16), IV: make([]byte, 16), In: in, Out: out, Len: n, CipherLen: n}
}

// TestData lets the operation's data fail: the operation does, and the next is
// fine.
func TestData(t *testing.T) {
	r := newRig(t, "sdm845", cryptoblock.Options{})
	good := make(buffer, 4096)
	var fault *bus.Fault
	if err := r.client.Do(cbc(good[:100], good, 4096), nil); !errors.As(err, &fault) {
		t.Errorf("short input: %v", err)
	}
	if err := r.client.Do(cbc(good, good[:100], 4096), nil); !errors.As(err, &fault) {
		t.Errorf("short output: %v", err)
	}
	if err := r.client.Do(cbc(good, good, 4096), nil); err != nil {
		t.Error(err)
	}
}

// TestReset resets the chip between operations, as a boot of Linux does.
func TestReset(t *testing.T) {
	r := newRig(t, "sdm845", cryptoblock.Options{})
	b := make(buffer, 64)
	for range 3 {
		if err := r.client.Do(cbc(b, b, 64), nil); err != nil {
			t.Fatal(err)
		}
		r.block.Reset()
	}
}

// TestCancel lets another side hold the lock: the operation waits, can be
// canceled, and one that waits is done when the lock is free.
func TestCancel(t *testing.T) {
	p, _ := cryptoblock.ProfileByName("sdm845")
	holder, err := bamclient.New("holder", p, p.Places()[1])
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "sdm845", cryptoblock.Options{Clients: []cryptoblock.Client{holder.Block()}})
	holder.Attach(r.block)
	held, release, over := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() { over <- bamclient.HoldLock(holder, held, release) }()
	<-held
	b := make(buffer, 64)
	cancel := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(cancel) })
	if err := r.client.Do(cbc(b, b, 64), cancel); !errors.Is(err, bamclient.ErrCanceled) {
		t.Fatalf("canceled: %v", err)
	}
	done := make(chan error)
	go func() { done <- r.client.Do(cbc(b, b, 64), nil) }()
	select {
	case err := <-done:
		t.Fatalf("done while the lock is held: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// watched calls fn at the first read or write.
type watched struct {
	bamclient.Data
	read, write func()
}

func (w *watched) Read(off uint64, p []byte) error {
	if w.read != nil {
		w.read()
	}
	return w.Data.Read(off, p)
}

func (w *watched) Write(off uint64, p []byte) error {
	if w.write != nil {
		w.write()
	}
	return w.Data.Write(off, p)
}

// TestCancelBegun cancels an operation in place that the engine is at: it is done
// nevertheless, since to do it again would encrypt what is encrypted.
func TestCancelBegun(t *testing.T) {
	const size = 8 << 20
	want := make(buffer, size)
	if err := (software.Engine{}).Do(cbc(make(buffer, size), want, size), nil); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"read", "write"} {
		t.Run(at, func(t *testing.T) {
			r := newRig(t, "sdm845", cryptoblock.Options{})
			b := make(buffer, size)
			cancel := make(chan struct{})
			now := sync.OnceFunc(func() { close(cancel) })
			data := &watched{Data: b}
			if at == "read" {
				data.read = now
			} else {
				data.write = now
			}
			if err := r.client.Do(cbc(data, data, size), cancel); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, want) {
				t.Error("result differs")
			}
		})
	}
}

// TestCancelStuck cancels an operation that has begun and comes to no end: it has
// failed, and is not one that can be done again.
func TestCancelStuck(t *testing.T) {
	const size = 8 << 20
	r := newRig(t, "sdm845", cryptoblock.Options{})
	b := make(buffer, size)
	cancel, stalled := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() {
		go func() {
			bamclient.Stall(r.client)
			close(stalled)
			close(cancel)
		}()
	})
	data := &watched{Data: b, write: func() {
		begin()
		select {
		case <-stalled:
		default:
			time.Sleep(50 * time.Microsecond) // it must not be over before
		}
	}}
	if err := r.client.Do(cbc(data, data, size), cancel); !errors.Is(err, bamclient.ErrFailed) || errors.Is(err, bamclient.ErrCanceled) {
		t.Errorf("error is %v", err)
	}
	<-stalled
	r.found.mu.Lock()
	r.found.seen = nil // a pipe that holds the lock had to be reset
	r.found.mu.Unlock()
	if err := r.client.Do(cbc(b, b, 64), nil); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// TestStuckNotLate: an operation is stuck if it is seen to stand still again and
// again, not if nobody has looked for long.
func TestStuckNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sdm845", cryptoblock.Options{})
		stuck := bamclient.Stuck(r.client)
		for range 3 {
			time.Sleep(time.Hour)
			if stuck() {
				t.Fatal("stuck at the first looks")
			}
		}
		for range 25 {
			time.Sleep(100 * time.Millisecond)
			if stuck() {
				return
			}
		}
		t.Error("not stuck, though nothing moves")
	})
}

// TestParallel has several users of one client, as the device's queues are.
func TestParallel(t *testing.T) {
	r := newRig(t, "sdm845", cryptoblock.Options{Scheduler: cryptoblock.NewRandomOrder(5)})
	want := make(buffer, 4096)
	if err := (software.Engine{}).Do(cbc(make(buffer, 4096), want, 4096), nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			out := make(buffer, 4096)
			for range 20 {
				if err := r.client.Do(cbc(make(buffer, 4096), out, 4096), nil); err != nil || !bytes.Equal(out, want) {
					t.Errorf("operation: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkCBC4K is an operation without anybody who watches the model.
func BenchmarkCBC4K(b *testing.B) {
	p, _ := cryptoblock.ProfileByName("sdm845")
	c, err := bamclient.New("test", p, p.Places()[0])
	if err != nil {
		b.Fatal(err)
	}
	block, err := cryptoblock.New(*p, cryptoblock.Options{Clients: []cryptoblock.Client{c.Block()}})
	if err != nil {
		b.Fatal(err)
	}
	c.Attach(block)
	data := make(buffer, 4096)
	op := cbc(data, data, 4096)
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Do(op, nil); err != nil {
			b.Fatal(err)
		}
	}
}
