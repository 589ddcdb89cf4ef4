package record

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/reading"
)

// recorded is a run of Linux's drivers, recorded.
type recorded struct {
	file     []byte
	model    *model.Model
	requests int
}

// keyByte is every byte of every key of these runs.
const keyByte = 0xA7

// runLinux records a few requests of both drivers' ways.
func runLinux(t testing.TB, c model.Config, rounds int) recorded {
	t.Helper()
	m, linux, end := recording(t, c)
	n := 0
	for round := range rounds {
		for i, req := range requests(byte(round)) {
			if i == 0 {
				m.Begin([]string{"first", "second", "third"}[round%3])
			}
			res := linux.Stock
			if i%2 == 1 {
				res = linux.Series
			}
			if got := res(req); got.Hung {
				m.Block.Reset()
				linux.Init()
			}
			n++
		}
		m.Begin("")
	}
	return recorded{end(), m, n}
}

// recording is a model with Linux on it that is being recorded. end returns the
// file.
func recording(t testing.TB, c model.Config) (m *model.Model, linux *blocktest.Linux, end func() []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.qrec")
	r, err := create(path, Header{Tool: "test", Origin: "a test", Chip: c.Chip(), Rules: rules(), Config: c}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	r.start(0)
	if m, err = model.New(c, model.Options{Tap: r, Manual: true}); err != nil {
		t.Fatal(err)
	}
	return m, blocktest.New(m.Block, m.Profile), func() []byte {
		t.Helper()
		m.Block.Settle()
		if err := r.Close(m); err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
}

func requests(salt byte) []qcetest.Request {
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i)*3 + salt
		}
		return b
	}
	key := func(n int) []byte { return bytes.Repeat([]byte{keyByte}, n) }
	return []qcetest.Request{
		qcetest.Cipher{Mode: qcetest.CBCAES, Key: key(32), IV: data(16), Encrypt: true, Data: data(512)},
		qcetest.Cipher{Mode: qcetest.CTRAES, Key: key(16), IV: data(16), Encrypt: true, Data: data(500)},
		qcetest.Digest{Hash: qcetest.SHA256, Data: data(444)},
		qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Key: key(32), Data: data(333)},
	}
}

func policies(t testing.TB, texts ...string) (list []antagonist.Policy) {
	for _, text := range texts {
		p, err := antagonist.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func timing(t testing.TB, name string) cryptoblock.Timing {
	c, err := cryptoblock.TimingByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// configs are models of every kind.
func configs(t testing.TB) map[string]model.Config {
	check := &model.Check{}
	return map[string]model.Config{
		"fastest":     {SoC: "sdm845"},
		"checked":     {SoC: "ipq4019", Check: check, InFlight: true, Integrity: true},
		"random":      {SoC: "sm8650", Check: check, Order: model.Random, Seed: 7},
		"silicon":     {SoC: "sdm845", Check: check, Timing: timing(t, "silicon"), Seed: 3},
		"slow engine": {SoC: "msm8974", Check: check, Timing: timing(t, "slow-engine"), Order: model.Random, Seed: 3},
		"faults": {SoC: "sdm845", Check: check, Faults: &cryptoblock.Faults{Seed: 5, DataError: 0.02, DescriptorError: 0.01,
			LostInterrupt: 0.1, LateInterrupt: 0.1, SpuriousInterrupt: 0.05, StalledEngine: 0.1}},
		"antagonist": {SoC: "sdm845", Check: check, Integrity: true, Seed: 11, Antagonists: policies(t, "between")},
		"two":        {SoC: "sdm845", Check: check, Seed: 12, Antagonists: policies(t, "burst,rate=0.1", "random=0.05,mode=mmio"), Timing: timing(t, "silicon")},
		"readings":   {SoC: "sdm845", Check: check, Readings: reading.Choice{"qce-surplus-input": "drained", "bam-nwd-scope": "last-only"}},
	}
}

func replay(t testing.TB, file []byte) *Result {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	res, err := Replay(context.Background(), r, Without{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// results is what a run and its replay must have in common.
func results(t testing.TB, m *model.Model) string {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{
		"attestation": m.Counter.Rows(), "findings": m.Findings.Findings(),
		"antagonists": m.Antagonists(), "integrity": m.Integrity(),
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReplayGivesTheSame(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			run := runLinux(t, c, 3)
			want := results(t, run.model)
			for range 2 {
				res := replay(t, run.file)
				if res.Divergence != nil || !res.Complete {
					t.Fatalf("complete %v, divergence %v", res.Complete, res.Divergence)
				}
				if diff := cmp.Diff(want, results(t, res.Model)); diff != "" {
					t.Fatal(diff)
				}
			}
			if rows := run.model.Counter.Rows(); len(rows) == 0 {
				t.Error("nothing was done")
			}
		})
	}
}

// What runs through an image of memory must give the same as what runs through
// the recording in order, as long as nothing is changed.
func TestVariantWithoutChangeIsTheSame(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			run := runLinux(t, c, 3)
			r, err := NewReader(bytes.NewReader(run.file))
			if err != nil {
				t.Fatal(err)
			}
			res, err := Variant(context.Background(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Divergence != nil {
				t.Errorf("diverges: %v", res.Divergence)
			}
			if diff := cmp.Diff(results(t, run.model), results(t, res.Model)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestVariant(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Check: &model.Check{}}, 3)
	r, err := NewReader(bytes.NewReader(run.file))
	if err != nil {
		t.Fatal(err)
	}
	res, err := Variant(context.Background(), r, reading.Choice{"bam-bare-offset": "drop", "qce-locked-bit": "2", "qce-dump-status": "final"})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Model.Config.Readings["qce-locked-bit"]; got != "2" {
		t.Errorf("reading is %q", got)
	}
	if diff := cmp.Diff(run.model.Counter.Rows(), res.Model.Counter.Rows()); diff != "" {
		t.Errorf("these readings should not change what the engine does: %s", diff)
	}
	r, err = NewReader(bytes.NewReader(run.file))
	if err != nil {
		t.Fatal(err)
	}
	res, err = Variant(context.Background(), r, reading.Choice{"bam-unlock": "before"})
	if err == nil {
		t.Fatalf("an unknown reading was taken: %v", res.Divergence)
	}
}

// TestWithout leaves out who only watches. What they do not see is not missed.
func TestWithout(t *testing.T) {
	c := model.Config{SoC: "sdm845", Check: &model.Check{}, Oracle: 1 << 20, InFlight: true, Seed: 3, Antagonists: policies(t, "between,gentle")}
	run := runLinux(t, c, 2)
	if n := run.model.Oracle.Counts(); n.Checked == 0 || n.Wrong != 0 {
		t.Fatalf("the recorded run's oracle: %+v", n)
	}
	for _, w := range []Without{{}, {Oracle: true}, {Checker: true}, {Checker: true, Oracle: true}} {
		r, err := NewReader(bytes.NewReader(run.file))
		if err != nil {
			t.Fatal(err)
		}
		res, err := Replay(t.Context(), r, w)
		if err != nil {
			t.Fatal(err)
		}
		if res.Divergence != nil || !res.Complete || res.OtherRules != w.Checker || (res.Model.Oracle == nil) != w.Oracle {
			t.Errorf("%+v: divergence %v, other rules %v", w, res.Divergence, res.OtherRules)
		}
		if len(res.Model.Findings.Findings()) == len(run.model.Findings.Findings()) == w.Checker {
			t.Errorf("%+v: %d findings of %d", w, len(res.Model.Findings.Findings()), len(run.model.Findings.Findings()))
		}
	}
}
