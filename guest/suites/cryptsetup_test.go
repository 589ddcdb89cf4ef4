package suites

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/report"
)

func TestParseBenchmark(t *testing.T) {
	const text = `# Tests are approximate using memory only (no storage IO).
# Algorithm |       Key |      Encryption |      Decryption
    aes-cbc        128b        19.2 MiB/s        17.9 MiB/s
    aes-xts        512b       512.0 KiB/s         1.5 GiB/s
serpent-xts        256b               N/A               N/A
`
	got, err := parseBenchmark(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []benchmarkRow{
		{"aes-cbc", 128, 19.2 * (1 << 20), 17.9 * (1 << 20)},
		{"aes-xts", 512, 512 << 10, 1.5 * (1 << 30)},
		{"serpent-xts", 256, 0, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"aes-cbc 128b 1.2.3 MiB/s 1 MiB/s", "aes-cbc 99999999999999999999b 1 MiB/s 1 MiB/s", "aes-cbc 128b 1 MiB/s . MiB/s"} {
		if rows, err := parseBenchmark(bad); err == nil {
			t.Errorf("%q: %v", bad, rows)
		}
	}
	if rows, err := parseBenchmark("Cipher aes-cbc (with 128 bits key) is not available."); len(rows) != 0 || err != nil {
		t.Errorf("no table: %v, %v", rows, err)
	}
}

func TestJudgeBenchmark(t *testing.T) {
	engine := Algorithm{Name: "cbc(aes)", Driver: "cbc-aes-qce", Priority: 275}
	generic := Algorithm{Name: "cbc(aes)", Driver: "cbc(aes-generic)", Priority: 100}
	both := []Algorithm{engine, generic}
	for _, tt := range []struct {
		name              string
		users, registered []Algorithm
		v                 Version
		want              report.Status
		text              string
	}{
		{"the engine", both, both, Version{6, 12}, "", "served by cbc-aes-qce, with cbc(aes-generic) as its software fallback"},
		{"software", []Algorithm{generic}, both, Version{6, 12}, report.Fail, "did not serve it: served by cbc(aes-generic)"},
		{"masked", []Algorithm{generic}, both, Version{7, 2}, report.Skip, "masks"},
		{"nobody", nil, both, Version{6, 12}, report.Fail, "no driver was seen"},
		{"no engine", []Algorithm{generic}, []Algorithm{generic}, Version{7, 2}, report.Fail, "has not registered"},
	} {
		var c report.Case
		judgeBenchmark(&c, tt.users, tt.registered, tt.v, "cbc(aes)")
		if c.Status != tt.want || !strings.Contains(c.Detail+c.Reason, tt.text) {
			t.Errorf("%s: %q, %q", tt.name, c.Status, c.Detail+c.Reason)
		}
	}
}

func TestRise(t *testing.T) {
	before := []Algorithm{{Driver: "a", RefCount: 1}, {Driver: "b", RefCount: 2}, {Driver: "c", RefCount: 3}}
	after := []Algorithm{{Driver: "a", RefCount: 2}, {Driver: "b", RefCount: 2}, {Driver: "c", RefCount: 1},
		{Driver: "new", RefCount: 2}, {Driver: "idle", RefCount: 1}, {Driver: "", RefCount: 2}}
	if diff := cmp.Diff([]string{"a", "new"}, rise(before, after).drivers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	u := usage{"low": {Name: "x", Driver: "low", Priority: 1}, "high": {Name: "x", Driver: "high", Priority: 2},
		"also": {Name: "x", Driver: "also", Priority: 2}, "other": {Name: "y", Driver: "other", Priority: 9}}
	var got []string
	for _, a := range u.of("x") {
		got = append(got, a.Driver)
	}
	if diff := cmp.Diff([]string{"also", "high", "low"}, got); diff != "" {
		t.Errorf("of x (-want +got):\n%s", diff)
	}
}

func TestFindDisk(t *testing.T) {
	k := &scriptedKernel{files: map[string]string{"/sys/block/vda/serial": "root\n", "/sys/block/vdb/serial": "qcemu-disk"}}
	if disk, err := findDisk(k); disk != "/dev/vdb" || err != nil {
		t.Errorf("%q, %v", disk, err)
	}
	delete(k.files, "/sys/block/vdb/serial")
	if disk, err := findDisk(k); err == nil {
		t.Errorf("took %q, which is not ours", disk)
	}
}

func TestContains(t *testing.T) {
	want := []byte("needle")
	for _, tt := range []struct {
		data []byte
		want bool
	}{
		{nil, false}, {[]byte("needl"), false}, {[]byte("needle"), true},
		{append(bytes.Repeat([]byte("n"), 1<<20-3), "needle and more"...), true},
		{append(bytes.Repeat([]byte("x"), 3<<20), "needl"...), false},
		{append(bytes.Repeat([]byte("x"), 1<<20-1), "needle"...), true},
	} {
		got, err := contains(bytes.NewReader(tt.data), want)
		if got != tt.want || err != nil {
			t.Errorf("%d bytes: %v, %v", len(tt.data), got, err)
		}
	}
	if got, err := contains(iotest.OneByteReader(strings.NewReader("a needle")), want); !got || err != nil {
		t.Errorf("byte by byte: %v, %v", got, err)
	}
	if _, err := contains(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("abc"))), want); err == nil {
		t.Error("a read error was lost")
	}
}

func TestServedBy(t *testing.T) {
	generic := Algorithm{Name: "xts(aes)", Driver: "xts(ecb(aes-generic))"}
	engine := Algorithm{Name: "xts(aes)", Driver: "xts-aes-qce"}
	for _, tt := range []struct {
		used   usage
		want   report.Status
		engine float64
		text   string
	}{
		{usage{generic.Driver: generic}, "", 0, "not on the engine"},
		{usage{generic.Driver: generic, engine.Driver: engine}, "", 1, "ran on the engine"},
		{usage{}, report.Skip, 0, "unknown"},
	} {
		v := &volume{spec: volumeSpecs[0], used: tt.used}
		var c report.Case
		if err := v.servedBy(&c); err != nil {
			t.Error(err)
		}
		if c.Status != tt.want || c.Metrics["engine"] != tt.engine || !strings.Contains(c.Detail+c.Reason, tt.text) {
			t.Errorf("%v: %+v", tt.used.drivers(), c)
		}
	}
}

// A step that fails ends the volume's life, and says so.
func TestVolumeStops(t *testing.T) {
	k := &scriptedKernel{release: "6.12.1", files: map[string]string{"/sys/block/vda/serial": diskSerial}}
	got := map[string]report.Status{}
	s := volumeOnly{disk: "/dev/vda"}
	status, cases := outcomes(t, s, &Env{Kernel: k, Exec: func(context.Context, Command) (Result, error) {
		return Result{Code: 1, Stderr: []byte("no such device")}, nil
	}})
	for name, st := range status {
		got[strings.TrimPrefix(name, "luks2/aes-xts-plain64/")] = st
	}
	want := map[string]report.Status{"format": report.Fail, "write": report.Skip, "reopen": report.Skip, "encrypted": report.Skip, "served-by": report.Skip}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := cases["luks2/aes-xts-plain64/format"].Detail; !strings.Contains(d, "cryptsetup luksFormat exited with 1: no such device") {
		t.Errorf("detail: %q", d)
	}
}

// volumeOnly is the part of the suite that works on a volume.
type volumeOnly struct {
	cryptsetup
	disk string
}

func (s volumeOnly) Run(ctx context.Context, env *Env) error {
	return (&volume{env: env, ctx: ctx, spec: volumeSpecs[0], disk: s.disk, dir: env.OutDir}).run()
}
