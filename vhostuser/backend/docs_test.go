package backend

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

var protocolNames = []struct {
	bit  uint64
	name string
}{
	{wire.ProtocolMQ, "MQ"}, {wire.ProtocolLogShmFD, "LOG_SHMFD"}, {wire.ProtocolReplyAck, "REPLY_ACK"},
	{wire.ProtocolBackendReq, "BACKEND_REQ"}, {wire.ProtocolCryptoSession, "CRYPTO_SESSION"}, {wire.ProtocolConfig, "CONFIG"},
	{wire.ProtocolInflightShmFD, "INFLIGHT_SHMFD"}, {wire.ProtocolResetDevice, "RESET_DEVICE"},
	{wire.ProtocolInbandNotify, "INBAND_NOTIFICATIONS"}, {wire.ProtocolConfigureMemSlots, "CONFIGURE_MEM_SLOTS"},
	{wire.ProtocolStatus, "STATUS"},
}

// documented is the first columns of a message's line in docs/protocol.md.
func documented(r wire.Request) string {
	x := &rows[r]
	if x.run == nil {
		return fmt.Sprintf("| %v (%d) | not served |", r, r)
	}
	size := fmt.Sprint(x.min)
	if x.max > x.min {
		size += fmt.Sprintf("–%d", x.max)
	}
	needs := "–"
	for _, p := range protocolNames {
		if x.needs == p.bit {
			needs = p.name
		}
	}
	reply := "ack"
	if x.answer != nil {
		reply = "own"
	}
	return fmt.Sprintf("| %v (%d) | %s | %d | %s | %s |", r, r, size, x.fds, needs, reply)
}

// TestDocument compares the tables of messages and protocol features in
// docs/protocol.md with those that are in force.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, doc, ok := strings.Cut(string(text), "\n# vhost-user\n")
	if !ok {
		t.Fatal("docs/protocol.md has no part on vhost-user")
	}
	var want []string
	for r := wire.Request(1); r < wire.NumRequests; r++ {
		want = append(want, documented(r))
	}
	var got []string
	for _, line := range regexp.MustCompile(`(?m)^\| [A-Z_]+ \(\d+\) \|.*$`).FindAllString(doc, -1) {
		cells := strings.SplitAfter(line, "|")
		n := 6
		if strings.Contains(line, "| not served |") {
			n = 3
		}
		if len(cells) < n {
			t.Fatalf("line %q", line)
		}
		got = append(got, strings.Join(cells[:n], ""))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-in force +documented):\n%s", diff)
	}
	srv := &Server{inband: true}
	offered := (&session{srv: srv, dev: anyCrypto{}}).protocolFeatures()
	for _, p := range protocolNames {
		told := strings.Contains(doc, "\n| "+p.name+" |")
		if told != (offered&p.bit != 0) {
			t.Errorf("%s: offered %v, documented %v", p.name, !told, told)
		}
		offered &^= p.bit
	}
	if offered != 0 {
		t.Errorf("protocol features %#x have no name here", offered)
	}
}

// anyCrypto is a device with crypto sessions.
type anyCrypto struct {
	Device
	CryptoDevice
}
