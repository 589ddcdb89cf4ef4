package virtiocrypto_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bamclient/software"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtiocrypto"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(7*i + i>>8)
	}
	return b
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestCiphers(t *testing.T) {
	r := newRig(t, "ideal")
	key := pattern(64)
	block := func(b cipher.Block, _ error) cipher.Block { return b }
	for _, c := range []struct {
		name   string
		algo   uint32
		key    []byte
		iv     []byte
		expect func(dst, src []byte)
	}{
		{"cbc(aes-128)", 3, key[:16], pattern(16), func(d, s []byte) {
			cipher.NewCBCEncrypter(block(aes.NewCipher(key[:16])), pattern(16)).CryptBlocks(d, s)
		}},
		{"cbc(aes-192), in software", 3, key[:24], pattern(16), func(d, s []byte) {
			cipher.NewCBCEncrypter(block(aes.NewCipher(key[:24])), pattern(16)).CryptBlocks(d, s)
		}},
		{"cbc(aes-256)", 3, key[:32], pattern(16), func(d, s []byte) {
			cipher.NewCBCEncrypter(block(aes.NewCipher(key[:32])), pattern(16)).CryptBlocks(d, s)
		}},
		{"ctr(aes)", 4, key[:16], pattern(16), func(d, s []byte) {
			cipher.NewCTR(block(aes.NewCipher(key[:16])), pattern(16)).XORKeyStream(d, s)
		}},
		{"ecb(aes)", 2, key[:16], nil, func(d, s []byte) {
			for i := 0; i < len(s); i += 16 {
				block(aes.NewCipher(key[:16])).Encrypt(d[i:], s[i:])
			}
		}},
		{"cbc(des3)", 8, key[:24], pattern(8), func(d, s []byte) {
			cipher.NewCBCEncrypter(block(des.NewTripleDESCipher(key[:24])), pattern(8)).CryptBlocks(d, s)
		}},
		{"cbc(des)", 6, key[:8], pattern(8), func(d, s []byte) {
			cipher.NewCBCEncrypter(block(des.NewCipher(key[:8])), pattern(8)).CryptBlocks(d, s)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			enc, s1 := r.cipherSession(c.algo, c.key, encrypt)
			dec, s2 := r.cipherSession(c.algo, c.key, decrypt)
			if s1 != ok || s2 != ok {
				t.Fatalf("sessions: status %d, %d", s1, s2)
			}
			for _, n := range []int{16, 4096, 60000} {
				text, want := pattern(n), make([]byte, n)
				c.expect(want, text)
				got, status := r.cipher(n%dataQueues, enc, encrypt, c.iv, text)
				if status != ok || !bytes.Equal(got, want) {
					t.Errorf("encrypt %d bytes: status %d", n, status)
				}
				if got, status = r.cipher(0, dec, decrypt, c.iv, want); status != ok || !bytes.Equal(got, text) {
					t.Errorf("decrypt %d bytes: status %d", n, status)
				}
			}
			if _, status := r.cipher(0, enc, decrypt, c.iv, pattern(16)); status != failed {
				t.Errorf("decryption with a session for encryption: status %d", status)
			}
			if r.destroy(cipherService, enc) != ok || r.destroy(cipherService, enc) != failed {
				t.Error("sessions are not destroyed once")
			}
			if _, status := r.cipher(0, enc, encrypt, c.iv, pattern(16)); status != invSess {
				t.Errorf("destroyed session: status %d", status)
			}
		})
	}
	engine, fallback := r.dev.Requests()
	if engine == 0 || fallback != 6 {
		t.Errorf("%d requests by the engine, %d in software", engine, fallback)
	}
	for _, row := range r.count.Rows() {
		if row.Locked != row.Requests || row.ByCommand != row.Requests {
			t.Errorf("not by commands under lock: %+v", row)
		}
	}
}

// TestXTS has a vector of IEEE 1619-2007, annex B (vector 4), shortened to what
// the first blocks show.
func TestXTS(t *testing.T) {
	r := newRig(t, "sdm845")
	key := unhex("2718281828459045235360287471352631415926535897932384626433832795")
	id, status := r.cipherSession(13, key, encrypt)
	if status != ok {
		t.Fatal(status)
	}
	text := make([]byte, 512)
	for i := range text {
		text[i] = byte(i)
	}
	got, code := r.cipher(0, id, encrypt, make([]byte, 16), text)
	if code != ok {
		t.Fatal(code)
	}
	if diff := cmp.Diff("27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c", hex.EncodeToString(got[:32])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHashesAndMACs(t *testing.T) {
	r := newRig(t, "ideal")
	text := pattern(5000)
	long := pattern(200) // is hashed first
	for _, c := range []struct {
		algo uint32
		new  func() hash.Hash
	}{{2, sha1.New}, {4, sha256.New}, {5, sha512.New384}, {6, sha512.New}} {
		size := c.new().Size()
		id := r.session(hashService, fields(c.algo, uint32(size)))
		for _, n := range []int{0, 1, 64, 5000} {
			h := c.new()
			h.Write(text[:n])
			got, status := r.request(0, hashService, encrypt, id, fields(uint32(n), uint32(size)), [][]byte{text[:n]}, size)
			if status != ok || !bytes.Equal(got[0], h.Sum(nil)) {
				t.Errorf("hash %d of %d bytes: status %d", c.algo, n, status)
			}
		}
		for _, key := range [][]byte{text[:20], text[:64], text[:100], long} {
			m := hmac.New(c.new, key)
			m.Write(text)
			id := r.session(macService, fields(c.algo, 12, uint32(len(key))), key)
			got, status := r.request(1, macService, encrypt, id, fields(5000, 12), [][]byte{text}, 12)
			if status != ok || !bytes.Equal(got[0], m.Sum(nil)[:12]) {
				t.Errorf("MAC %d with %d bytes of key: status %d", c.algo, len(key), status)
			}
		}
	}
	key := unhex("2b7e151628aed2a6abf7158809cf4f3c") // RFC 4493 §4, example 2
	id := r.session(macService, fields(26, 16, 16), key)
	got, status := r.request(0, macService, encrypt, id, fields(16, 16), [][]byte{unhex("6bc1bee22e409f96e93d7e117393172a")}, 16)
	if diff := cmp.Diff("070a16b46b4d4144f79bdd9dd04a287c", hex.EncodeToString(got[0])); status != ok || diff != "" {
		t.Errorf("CMAC: status %d (-want +got):\n%s", status, diff)
	}
}

func TestAEAD(t *testing.T) {
	r := newRig(t, "ideal")
	key, aad, text := pattern(32), pattern(20), pattern(1000)
	b, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(b)
	nonce := pattern(12)
	sealed := gcm.Seal(nil, nonce, text, aad)
	open := func(algo, tag uint32, key, nonce, aad, sealed []byte) ([]byte, byte) {
		id := r.session(aeadService, fields(algo, uint32(len(key)), tag, uint32(len(aad)), 2), key)
		n := uint32(len(sealed))
		got, status := r.request(0, aeadService, decrypt, id, fields(uint32(len(nonce)), uint32(len(aad)), n, n-tag), [][]byte{nonce, sealed, aad}, int(n-tag))
		return got[0], status
	}
	seal := func(algo, tag uint32, key, nonce, aad, text []byte) ([]byte, byte) {
		id := r.session(aeadService, fields(algo, uint32(len(key)), tag, uint32(len(aad)), 1), key)
		n := uint32(len(text))
		got, status := r.request(0, aeadService, encrypt, id, fields(uint32(len(nonce)), uint32(len(aad)), n, n+tag), [][]byte{nonce, text, aad}, int(n+tag))
		return got[0], status
	}
	if got, status := seal(1, 16, key, nonce, aad, text); status != ok || !bytes.Equal(got, sealed) {
		t.Errorf("GCM seal: status %d", status)
	}
	if got, status := open(1, 16, key, nonce, aad, sealed); status != ok || !bytes.Equal(got, text) {
		t.Errorf("GCM open: status %d", status)
	}
	sealed[3] ^= 1
	if _, status := open(1, 16, key, nonce, aad, sealed); status != badMsg {
		t.Errorf("GCM open of a forgery: status %d", status)
	}
	// SP 800-38C, example 2.
	ck, cn := unhex("404142434445464748494a4b4c4d4e4f"), unhex("1011121314151617")
	ca, ct := unhex("000102030405060708090a0b0c0d0e0f"), unhex("202122232425262728292a2b2c2d2e2f")
	want := unhex("d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd")
	if got, status := seal(2, 6, ck, cn, ca, ct); status != ok || !bytes.Equal(got, want) {
		t.Errorf("CCM seal: status %d, %x", status, got)
	}
	if got, status := open(2, 6, ck, cn, ca, want); status != ok || !bytes.Equal(got, ct) {
		t.Errorf("CCM open: status %d", status)
	}
}

func TestChains(t *testing.T) {
	r := newRig(t, "sdm845")
	key, mac, iv := pattern(16), pattern(32), pattern(16)
	text := pattern(16 + 256 + 8) // header, text, trailer
	b, _ := aes.NewCipher(key)
	sealed := bytes.Clone(text)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(sealed[16:272], text[16:272])
	sum := func(p []byte) []byte {
		h := hmac.New(sha256.New, mac)
		h.Write(p[:272])
		return h.Sum(nil)
	}
	const (
		hashFirst   = 1
		cipherFirst = 2
	)
	chain := func(order, direction uint32) uint64 {
		fixed := fields(order, 2, 3, uint32(len(key)), direction+1, 0, 4, 32, uint32(len(mac)), 0, 0, 0)
		return r.session(cipherService, append(padded(fixed, 48), fields(2, 0)...), key, mac)
	}
	for _, c := range []struct {
		name       string
		order, op  uint32
		in, out, m []byte
	}{
		{"encrypt, then MAC", cipherFirst, encrypt, text, sealed, sum(sealed)},
		{"MAC, then decrypt", hashFirst, decrypt, sealed, text, sum(sealed)},
		{"MAC, then encrypt", hashFirst, encrypt, text, sealed, sum(text)},
		{"decrypt, then MAC", cipherFirst, decrypt, sealed, text, sum(text)},
	} {
		id := chain(c.order, c.op)
		n := uint32(len(text))
		fixed := append(fields(16, n, n, 16, 256, 0, 272, 0, 32, 0), fields(2, 0)...)
		got, status := r.request(0, cipherService, c.op, id, fixed, [][]byte{iv, c.in}, len(text), 32)
		if status != ok {
			t.Errorf("%s: status %d", c.name, status)
			continue
		}
		if !bytes.Equal(got[0], c.out) || !bytes.Equal(got[1], c.m) {
			t.Errorf("%s: wrong result", c.name)
		}
		if _, status := r.cipher(0, id, c.op, iv, pattern(16)); status != failed {
			t.Errorf("%s: plain cipher request: status %d", c.name, status)
		}
	}
}

// TestLinux has the shape of Linux's requests: scattered text, a source that is
// longer than it says, a destination that is longer than it says, in place.
func TestLinux(t *testing.T) {
	r := newRig(t, "sdm845")
	key, iv := pattern(16), pattern(16)
	id, _ := r.cipherSession(3, key, encrypt)
	text, want := pattern(64), make([]byte, 64)
	b, _ := aes.NewCipher(key)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(want, text)
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(head, fields(0, 0)...)
	head = append(head, append(padded(fields(16, 64, 64, 0), 40), fields(1, 0)...)...)
	whole := r.ram.Put(append(bytes.Clone(text), pattern(100)...)) // longer
	part := func(off, n uint32) vhosttest.Buffer {
		return vhosttest.Buffer{Addr: whole.Addr + uint64(off), Len: n}
	}
	status := r.ram.Space(1)
	out := []vhosttest.Buffer{r.ram.Put(head), r.ram.Put(iv), part(0, 5), part(5, 50), part(55, 109)}
	in := []vhosttest.Buffer{part(0, 33), part(33, 131), status}
	if n := r.queues[0].Do(out, in, true); n != 64 { // there is a gap before the status
		t.Errorf("%d bytes were written", n)
	}
	if got := r.ram.Of(whole); r.ram.Of(status)[0] != ok || !bytes.Equal(got[:64], want) || !bytes.Equal(got[64:], pattern(100)) {
		t.Errorf("status %d, %x", r.ram.Of(status)[0], got)
	}
}

// TestStoppedInPlace stops the ring while the engine encrypts a text in place: it
// is encrypted once, and the request does not come again.
func TestStoppedInPlace(t *testing.T) {
	const size = 4 << 20
	r := newRig(t, "sdm845")
	key, iv := pattern(16), pattern(16)
	id, _ := r.cipherSession(3, key, encrypt)
	want := pattern(size)
	b, _ := aes.NewCipher(key)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(want, want)
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(append(head, fields(0, 0)...), append(padded(fields(16, size, size, 0), 40), fields(1, 0)...)...)
	r.ram.Free(r.mark)
	text, status := r.ram.Put(pattern(size)), r.ram.Space(1)
	q := r.queues[0]
	q.Submit([]vhosttest.Buffer{r.ram.Put(head), r.ram.Put(iv), text}, []vhosttest.Buffer{text, status}, false)
	begun := func() bool { return !bytes.Equal(r.ram.Of(text)[:16], pattern(16)) }
	for end := time.Now().Add(vhosttest.Timeout); !begun(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("the request does not begin")
		}
	}
	if base := q.Stop(); base != 1 {
		t.Errorf("position %d: the request would come again", base)
	}
	if got := r.ram.Of(status)[0]; got != ok || !bytes.Equal(r.ram.Of(text), want) {
		t.Errorf("status %d, or wrong text", got)
	}
}

// TestWritten: no byte is reported as written that was not. The status is behind
// all the others.
func TestWritten(t *testing.T) {
	r := newRig(t, "ideal")
	key, iv := pattern(16), pattern(16)
	enc, _ := r.cipherSession(3, key, encrypt)
	hash := r.session(hashService, fields(4, 32))
	open := r.session(aeadService, fields(2, 16, 16, 0, decrypt+1), key)
	cbc := func(n, dst uint32) []byte { return append(padded(fields(16, n, dst, 0), 40), fields(1, 0)...) }
	for _, c := range []struct {
		name        string
		service, op uint32
		id          uint64
		fixed       []byte
		out         [][]byte
		room        int
		want        uint32
		status      byte
	}{
		{"all", cipherService, encrypt, enc, cbc(32, 32), [][]byte{iv, pattern(32)}, 32, 33, ok},
		{"longer destination", cipherService, encrypt, enc, cbc(32, 48), [][]byte{iv, pattern(32)}, 48, 32, ok},
		{"no such session", cipherService, encrypt, 77, cbc(32, 32), [][]byte{iv, pattern(32)}, 32, 0, invSess},
		{"no such session, status alone", cipherService, encrypt, 77, cbc(32, 32), [][]byte{iv, pattern(32)}, 0, 1, invSess},
		{"part of a block", cipherService, encrypt, enc, cbc(33, 33), [][]byte{iv, pattern(33)}, 33, 0, failed},
		{"digest", hashService, 0, hash, fields(5, 32), [][]byte{pattern(5)}, 32, 33, ok},
		{"short digest", hashService, 0, hash, fields(5, 20), [][]byte{pattern(5)}, 32, 20, ok},
		{"wrong tag", aeadService, decrypt, open, fields(12, 0, 48, 32, 16, 0), [][]byte{iv[:12], pattern(48)}, 32, 33, badMsg},
	} {
		_, status := r.request(0, c.service, c.op, c.id, c.fixed, c.out, c.room)
		if status != c.status || r.written != c.want {
			t.Errorf("%s: status %d, %d bytes were written, want %d, %d", c.name, status, r.written, c.status, c.want)
		}
	}
}

// TestMessages makes sessions as QEMU does.
func TestMessages(t *testing.T) {
	r := newRig(t, "sdm845")
	for _, size := range []int{wire.CryptoSessionSize, wire.OldCryptoSessionSize} {
		s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
		copy(s.CipherKey[:], pattern(16))
		body := make([]byte, size)
		wire.PutCryptoSession(body, &s)
		id := wire.SessionID(r.Ask(wire.CreateCryptoSession, body))
		if id < 0 {
			t.Fatal("no session")
		}
		want := make([]byte, 32)
		b, _ := aes.NewCipher(pattern(16))
		cipher.NewCBCEncrypter(b, pattern(16)).CryptBlocks(want, pattern(32))
		if got, status := r.cipher(0, uint64(id), encrypt, pattern(16), pattern(32)); status != ok || !bytes.Equal(got, want) {
			t.Errorf("status %d", status)
		}
		r.Must(wire.CloseCryptoSession, nil, uint64(id))
		s.CipherAlg = 10 // Kasumi
		wire.PutCryptoSession(body, &s)
		if id := wire.SessionID(r.Ask(wire.CreateCryptoSession, body)); id >= 0 {
			t.Errorf("session for Kasumi: %d", id)
		}
	}
	const createAsymmetric = 4<<8 | 2 // as QEMU asks for RSA
	body := make([]byte, wire.CryptoSessionSize)
	wire.PutCryptoSession(body, &wire.CryptoSession{OpCode: createAsymmetric, CipherAlg: 1})
	if id := wire.SessionID(r.Ask(wire.CreateCryptoSession, body)); id >= 0 {
		t.Errorf("session for RSA: %d", id)
	}
}

// TestQueues has all queues at work at a time.
func TestQueues(t *testing.T) {
	r := newRig(t, "sdm845")
	id, _ := r.cipherSession(3, pattern(16), encrypt)
	want := make([]byte, 4096)
	b, _ := aes.NewCipher(pattern(16))
	cipher.NewCBCEncrypter(b, pattern(16)).CryptBlocks(want, pattern(4096))
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(append(head, fields(0, 0)...), append(padded(fields(16, 4096, 4096, 0), 40), fields(1, 0)...)...)
	out := []vhosttest.Buffer{r.ram.Put(head), r.ram.Put(pattern(16)), r.ram.Put(pattern(4096))}
	var wg sync.WaitGroup
	for i := range dataQueues {
		in := []vhosttest.Buffer{r.ram.Space(4096), r.ram.Space(1)}
		wg.Go(func() {
			for range 50 {
				r.queues[i].Do(out, in, false)
				if r.ram.Of(in[1])[0] != ok || !bytes.Equal(r.ram.Of(in[0]), want) {
					t.Errorf("queue %d: wrong result", i)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestConfigSpace(t *testing.T) {
	r := newRig(t, "sdm845")
	b := r.Ask(wire.GetConfig, wire.Config{Size: 56}, make([]byte, 56))[wire.ConfigSize:]
	var got [12]uint32
	for i := range got {
		got[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	want := [12]uint32{
		1, dataQueues, 1<<0 | 1<<1 | 1<<2 | 1<<3,
		1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<13, 0,
		1<<2 | 1<<4 | 1<<5 | 1<<6, 1<<2 | 1<<4 | 1<<5 | 1<<6 | 1<<26, 0,
		1 << 2, 64, 512, 0, // no GCM on this chip
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if max := binary.LittleEndian.Uint64(b[48:]); max < 1<<20 {
		t.Errorf("max_size %d", max)
	}
}

// TestNoFallback: without a fallback the engine's own service set is all there
// is.
func TestNoFallback(t *testing.T) {
	p, _ := cryptoblock.ProfileByName("ipq4019")
	c, err := bamclient.New("x", p, p.Places()[0])
	if err != nil {
		t.Fatal(err)
	}
	d, err := virtiocrypto.New(virtiocrypto.Config{Engine: c, DataQueues: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 24, OpType: 1, Direction: 1}
	if _, err := d.CreateSession(&s); err == nil {
		t.Error("AES-192 without a fallback")
	}
	if d, err = virtiocrypto.New(virtiocrypto.Config{Engine: c, Fallback: software.Engine{}, DataQueues: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateSession(&s); err != nil {
		t.Errorf("AES-192: %v", err)
	}
	for _, n := range []int{0, 65} {
		if _, err := virtiocrypto.New(virtiocrypto.Config{Engine: c, DataQueues: n}); err == nil {
			t.Errorf("%d data queues", n)
		}
	}
}
