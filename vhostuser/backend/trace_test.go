package backend_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// TestTrace: messages are printed, keys are not, even when they come in a message
// that is none.
func TestTrace(t *testing.T) {
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	t.Setenv("QCEMU_TRACE_VHOSTUSER", "1")
	old := os.Stderr
	os.Stderr = stderr
	r := newRig(t)
	os.Stderr = old

	secret := []byte("KEYKEYKEYKEYKEYK")
	r.Negotiate(virtioFeatures, everything)
	r.SetMemory(r.low)
	channel(t, r)
	d := vhosttest.NewSplit(r.low, ringSize, true)
	r.Must(wire.SetVringAddr, nil, d.Addr(1))
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, AuthKeyLen: 16, OpType: 1, Direction: 1}
	copy(s.CipherKey[:], secret)
	copy(s.AuthKey[:], secret)
	body := make([]byte, wire.CryptoSessionSize)
	wire.PutCryptoSession(body, &s)
	r.Ask(wire.CreateCryptoSession, body)
	r.Ask(wire.GetConfig, wire.Config{Size: 4}, make([]byte, 4))
	r.Send(wire.CreateCryptoSession, 0, nil, bytes.Repeat(secret, 4)) // refused
	r.Closed()
	r.end()

	out, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"vhost-user <- GET_FEATURES flags=0x1 len=0 fds=0\n",
		"vhost-user <- SET_MEM_TABLE flags=0x9 len=40 fds=1 regions=1 [40000000 100000 7f1000000000 1000]\n",
		"vhost-user -> SET_MEM_TABLE flags=0x5 len=8 fds=0",
		"vhost-user <- SET_BACKEND_REQ_FD flags=0x9 len=0 fds=1\n",
		"vhost-user <- SET_VRING_ADDR flags=0x9 len=40 fds=0 {Index:1 Flags:0 Descriptor:",
		"vhost-user <- CREATE_CRYPTO_SESSION flags=0x1 len=",
		" session=0 op=0x2 type=1 cipher=3 keylen=16 direction=1 hash=0 authkeylen=16\n",
		"vhost-user -> CREATE_CRYPTO_SESSION flags=0x5 len=",
		" session=1 op=",
		"vhost-user -> GET_CONFIG flags=0x5 len=16 fds=0 00 00 00 00 04 00 00 00 00 00 00 00 30 31 32 33\n",
		"vhost-user <- CREATE_CRYPTO_SESSION flags=0x1 len=64 fds=0\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, s := range []string{"KEY", "4b 45 59", "4b4559"} {
		if strings.Contains(string(out), s) {
			t.Errorf("a key was printed:\n%s", out)
		}
	}
}
