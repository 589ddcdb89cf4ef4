package tests

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
)

// TestVirtioSuite has the three ways to an engine in one guest.
func TestVirtioSuite(t *testing.T) {
	needGuests(t)
	b := startRun(t, "--driver", "series", "--suite", suites.Virtio)
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r := b.report()
	for _, c := range suite(t, r, suites.Virtio).Cases {
		if c.Status != report.Pass {
			t.Errorf("%s: %s %s %s", c.Name, c.Status, c.Reason, c.Detail)
		}
	}
	if want := len(suites.VirtioWays) * len(suites.VirtioUsers); len(r.Ways) != want {
		t.Errorf("%d ways were measured, want %d: %+v", len(r.Ways), want, r.Ways)
	}
	for _, w := range r.Ways {
		if !w.Attested || w.P50 <= 0 || w.PerSecond <= 0 || w.Guest <= 0 {
			t.Errorf("%+v", w)
		}
	}
	// The engine did it, for the device's own side, under the lock.
	var requests uint64
	for _, row := range r.Attestation {
		if row.EE != r.EE && row.Algorithm == "cbc-aes" {
			requests += row.Requests
			if row.Locked != row.Requests || row.ByCommand != row.Requests || row.Errors > 0 {
				t.Errorf("attestation: %+v", row)
			}
		}
	}
	if requests < 1000 {
		t.Errorf("%d requests of the virtio-crypto device reached the engine", requests)
	}
}

// TestVirtioAntagonist has three sides at one engine: the engine's own driver and
// virtio-crypto in one guest, and the secure side, which comes between any two
// accesses. Each must get what it asked for.
func TestVirtioAntagonist(t *testing.T) {
	needGuests(t)
	b := startRun(t, "--driver", "series", "--suite", "virtio-"+suites.VirtioTogether, "--antagonist", "between")
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r := b.report()
	for _, c := range suite(t, r, "virtio-"+suites.VirtioTogether).Cases {
		if c.Status != report.Pass {
			t.Errorf("%s: %s %s %s", c.Name, c.Status, c.Reason, c.Detail)
		}
	}
	if len(r.Antagonists) != 1 || r.Antagonists[0].Requests < 100 || r.Antagonists[0].Corrupted+r.Antagonists[0].Hung > 0 {
		t.Errorf("the secure side: %+v", r.Antagonists)
	}
	if len(r.Integrity) != 3 {
		t.Errorf("%d sides, want three", len(r.Integrity))
	}
	for _, side := range r.Integrity {
		t.Logf("EE%d: %d requests", side.EE, side.Requests)
		if side.Requests < 100 || side.Corrupted+side.Lost > 0 {
			t.Errorf("EE%d: %d requests, %d corrupted, %d lost", side.EE, side.Requests, side.Corrupted, side.Lost)
		}
	}
	for _, row := range r.Attestation {
		if row.Locked != row.Requests {
			t.Errorf("not all under the lock: %+v", row)
		}
	}
}

// killsEnv is how often TestVirtioKilled kills; unset: a few times.
const killsEnv = "QCEMU_KILLS"

// TestVirtioKilled kills the back-end under a guest's requests, again and again.
// The guest must not notice: each of its results is right, and none is missing.
//
// QEMU connects again by itself (reconnect-ms), but sets the device's rings up
// again only when the virtual machine is started, so it is stopped and continued:
// docs/protocol.md says why.
func TestVirtioKilled(t *testing.T) {
	needGuests(t)
	kills := 8
	if text := os.Getenv(killsEnv); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", killsEnv, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootPatience+time.Duration(kills)*10*time.Second)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	dir := socketDir(t)
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		t.Fatal(err)
	}
	g, err := testbench.Prepare(ctx, testbench.GuestConfig{Profile: p, Driver: job.Stock, Progress: progress.New(io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	files, err := g.WriteBootFiles(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	machine := g.Machine(files, suites.BootVirtio)
	machine.BlockSocket, machine.ShareSocket = filepath.Join(dir, "block"), filepath.Join(dir, "share")
	machine.CryptoSocket, machine.CryptoQueues = filepath.Join(dir, "crypto"), suites.VirtioQueues
	machine.Monitor = filepath.Join(dir, "qmp")

	block, err := testbench.NewModel(model.Config{SoC: p.Name}, testbench.Recording{})
	if err != nil {
		t.Fatal(err)
	}
	if err := block.Serve(ctx, &wg, machine.BlockSocket); err != nil {
		t.Fatal(err)
	}
	busy, over, result := make(chan struct{}), make(chan struct{}), report.Case{}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	err = testbench.ServeShare(ctx, &wg, testbench.Share{Dir: shared, Socket: machine.ShareSocket,
		Job: &job.Job{Driver: job.Stock, Suites: []string{suites.VirtioEndure}, ModuleDirs: g.ModuleDirs},
		OnEvent: func(e job.Event) {
			switch {
			case e.Type == job.Progress && e.Text == suites.VirtioBusy:
				close(busy)
			case e.Case != nil && e.Case.Name == suites.VirtioEndure:
				result = *e.Case
				close(over)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() *server {
		s := &server{}
		s.start(t, exec.Command(qcemu, "vhost-user", "--socket-path", machine.CryptoSocket, "--state", filepath.Join(dir, "state")))
		s.ready()
		return s
	}
	s := begin()
	console, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	m, err := vm.Start(g.QEMU, &machine, console)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	await := func(c <-chan struct{}, what string, d time.Duration) {
		select {
		case <-c:
		case <-m.Done():
			t.Fatalf("%s: the guest ended: %v", what, m.Err())
		case <-time.After(d):
			text, _ := os.ReadFile(console.Name())
			t.Fatalf("%s: nothing for %v\n%s", what, d, text)
		}
	}
	await(busy, "boot", 15*time.Minute)
	q := dialMonitor(t, machine.Monitor)
	for n := range kills {
		time.Sleep(time.Duration(200+170*(n%8)) * time.Millisecond)
		s.cmd.Process.Kill()
		<-s.ended
		s = begin()
		eventually(t, "QEMU is back", q.connected)
		q.do("stop")
		q.do("cont")
	}
	if err := os.WriteFile(filepath.Join(shared, suites.VirtioEnough), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	await(over, "the end", 5*time.Minute)
	if result.Status != report.Pass || result.Metrics["requests"] < 100 {
		t.Errorf("%s %s, %v", result.Status, result.Detail, result.Metrics)
	}
	t.Logf("%v requests, %d kills", result.Metrics["requests"], kills)
}

// monitor speaks QMP.
type monitor struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialMonitor(t *testing.T, path string) *monitor {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	q := &monitor{t: t, conn: conn, in: bufio.NewReader(conn)}
	if _, err := q.in.ReadString('\n'); err != nil { // the greeting
		t.Fatal(err)
	}
	q.do("qmp_capabilities")
	return q
}

// do executes a command and returns what it returns; events are skipped.
func (q *monitor) do(command string) json.RawMessage {
	q.t.Helper()
	if _, err := fmt.Fprintf(q.conn, "{\"execute\":%q}\n", command); err != nil {
		q.t.Fatal(err)
	}
	for {
		line, err := q.in.ReadBytes('\n')
		if err != nil {
			q.t.Fatal(err)
		}
		var r struct{ Return, Error json.RawMessage }
		if err := json.Unmarshal(line, &r); err != nil {
			q.t.Fatal(err)
		}
		if r.Error != nil {
			q.t.Fatalf("%s: %s", command, r.Error)
		}
		if r.Return != nil {
			return r.Return
		}
	}
}

// connected reports whether the device's socket is connected.
func (q *monitor) connected() bool {
	var chardevs []struct{ Label, Filename string }
	if err := json.Unmarshal(q.do("query-chardev"), &chardevs); err != nil {
		q.t.Fatal(err)
	}
	for _, c := range chardevs {
		if c.Label == "crypto" {
			return !strings.HasPrefix(c.Filename, "disconnected")
		}
	}
	return false
}
