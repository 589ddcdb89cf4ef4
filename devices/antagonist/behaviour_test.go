package antagonist_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// digest is a sink that hashes every field of every event.
type digest struct{ h hash.Hash }

func (d digest) Emit(e *trace.Event) {
	c := *e
	c.Op, c.Rule = nil, nil
	fmt.Fprintf(d.h, "%+v", c)
	if e.Op != nil {
		fmt.Fprintf(d.h, "%+v", *e.Op)
	}
	if e.Rule != nil {
		fmt.Fprint(d.h, e.Rule.ID)
	}
}

// The same seed and the same input give the same events; another seed does not.
func TestSameSeedSameEvents(t *testing.T) {
	for _, policies := range [][]string{{"between"}, {"burst", "random=0.2,mode=nolock"}, {"off"}} {
		for _, timing := range []string{"fastest", "silicon"} {
			events := func(seed uint64) []byte {
				d := digest{sha256.New()}
				r := newRig(t, options{policies: policies, timing: timing, seed: seed, sinks: []trace.Sink{d}})
				r.run(stock, 2)
				r.run(series, 2)
				return d.h.Sum(nil)
			}
			one := events(1)
			if !bytes.Equal(one, events(1)) {
				t.Errorf("%v, timing %s: two runs with one seed differ", policies, timing)
			}
			if policies[0] != "off" && bytes.Equal(one, events(2)) {
				t.Errorf("%v, timing %s: two seeds give the same run", policies, timing)
			}
		}
	}
}

// Who reads STATUS after UNLOCK may read another's.
func TestStatusAfterUnlockIsNotOnesOwn(t *testing.T) {
	r := newRig(t, options{policies: []string{"between"}, seed: 1})
	r.linux.LateStatus = true
	q := requests(0)[1]
	want := r.expect(q.req)
	failed := 0
	for range 100 {
		got := r.linux.Series(q.req)
		if !bytes.Equal(got.Out, want.Payload) {
			t.Fatalf("payload is wrong")
		}
		if got.Failed() {
			failed++
		}
	}
	if failed == 0 {
		t.Errorf("no request of 100 took another's status for its own")
	}
}

// Without NWD an UNLOCK can pass the engine.
func TestUnlockWithoutNWDOvertakes(t *testing.T) {
	for _, timing := range []string{"fastest", "slow-engine"} {
		r := newRig(t, options{policies: []string{"between"}, timing: timing, seed: 1})
		r.linux.NoNWD = true
		if sum := total(r.run(series, 6)); sum.wrong+sum.hung == 0 {
			t.Errorf("timing %s: nothing is corrupted: %+v", timing, sum)
		}
	}
	r := newRig(t, options{policies: []string{"between,mode=no-nwd"}, seed: 1})
	sum := total(r.run(series, 6))
	if c := r.schedule.Counts()[0]; !bad(c) && sum.wrong+sum.hung == 0 {
		t.Errorf("nothing is corrupted beside an antagonist without NWD")
	}
}

// An antagonist without the lock hurts Linux though that locks. Command lists
// are no protection: what a pipe has fetched before the lock is taken, it
// finishes.
func TestLockNeedsBothSides(t *testing.T) {
	for _, mode := range []string{"mmio", "nolock"} {
		r := newRig(t, options{policies: []string{"between,mode=" + mode}, seed: 1})
		if sum := total(r.run(series, 4)); sum.wrong+sum.hung == 0 {
			t.Errorf("mode %s: nothing of Linux's is corrupted", mode)
		}
	}
}

// A lock that is never released stops the other side, and not the model.
func TestLockHeldForEver(t *testing.T) {
	var seen deadlocks
	r := newRig(t, options{policies: []string{"between,mode=hold"}, seed: 1, sinks: []trace.Sink{&seen}})
	if sum := total(r.run(series, 1)); sum.hung == 0 {
		t.Errorf("nothing hangs: %+v", sum)
	}
	if seen == 0 {
		t.Errorf("the deadlock is not reported")
	}
}

type deadlocks int

func (d *deadlocks) Emit(e *trace.Event) {
	if e.Kind == trace.Anomaly && e.Rule.ID == cryptoblock.RuleDeadlock.ID {
		*d++
	}
}

func TestParsePolicy(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("after op-done do request\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"off": "", "between": "", "every=3": "", "random=0.5": "", "burst": "", "during-unlock": "", "script=" + script: "",
		"between,gentle,mode=mmio,group=31,alg=sha1+cbc-aes,rate=1": "",
		"never":               `policy "never": no policy "never"; there are: off, between, every, random, burst, during-unlock, script`,
		"every":               `policy "every": want every=N, a number of steps from 1 on`,
		"every=0":             `policy "every=0": want every=N, a number of steps from 1 on`,
		"random=2":            `policy "random=2": want random=RATE, a probability above 0 and up to 1`,
		"random=NaN":          `policy "random=NaN": want random=RATE, a probability above 0 and up to 1`,
		"between=3":           `policy "between=3": between takes no value`,
		"between,mode=x":      `policy "between,mode=x": no mode "x"; there are: lock, mmio, nolock, no-nwd, hold`,
		"between,group=32":    `policy "between,group=32": group "32": want 0 to 31`,
		"every=2,rate=1":      `policy "every=2,rate=1": rate goes with between and burst`,
		"between,loud":        `policy "between,loud": no option "loud"; there are: mode, gentle, rate, group, alg`,
		"between,":            `policy "between,": no option ""; there are: mode, gentle, rate, group, alg`,
		"script=":             `policy "script=": want script=FILE`,
		"between,alg=sha1000": `policy "between,alg=sha1000": no algorithm "sha1000"; there are: `,
	} {
		_, err := antagonist.ParsePolicy(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := antagonist.ParsePolicy("script=" + script + ".none"); err == nil {
		t.Errorf("a script that is not there is taken")
	}
}

// A policy survives its JSON form, and takes its script along.
func TestPolicyJSON(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("after op-done do request\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := antagonist.ParsePolicy("script=" + script + ",mode=mmio")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	var q antagonist.Policy
	if err := json.Unmarshal(text, &q); err != nil {
		t.Fatal(err)
	}
	if q.String() != p.String() || q.Script == nil || q.How != antagonist.MMIO {
		t.Errorf("%s became %+v", text, q)
	}
	if err := json.Unmarshal([]byte(`{"policy":"never"}`), &q); err == nil {
		t.Errorf("an unknown policy is taken")
	}
}

func TestParseScript(t *testing.T) {
	for text, want := range map[string]string{
		"# nothing\n": "the script is empty",
		"after reg-write GOPROC count 3 do request sha256\nafter unlock do finish # at once\n":                         "",
		"after reg-write ENCR_KEY every 2 do step 5":                                                                   "",
		"after reg-write P_EVNT_REG[4] do finish\nafter reg-read STATUS2 do finish\nafter reg-read BAM_CTRL do finish": "",
		"after reg-write ENCR_KEY8 do finish":                                                                          `line 1: no register "ENCR_KEY8"`,
		"after reg-write P_EVNT_REG[ do finish":                                                                        `line 1: no register "P_EVNT_REG["`,
		"after reg-write GOPROCK do finish":                                                                            `line 1: no register "GOPROCK"`,
		"before lock do finish":                                                                                        "line 1: want: after EVENT",
		"\nafter dinner do finish":                                                                                     `line 2: no event "dinner"`,
		"after lock GOPROC do finish":                                                                                  "line 1: a register goes with reg-read and reg-write only, not with lock",
		"after lock count x do finish":                                                                                 `line 1: count "x": want a number from 1 on`,
		"after lock":                                                                                                   "line 1: want: do ACTION",
		"after lock do nothing":                                                                                        `line 1: no action "nothing"; there are: begin, step, finish, request`,
		"after lock do finish now":                                                                                     `line 1: finish: "now" is too much`,
		"after lock do step":                                                                                           "line 1: want: step N",
		"after lock do step -1":                                                                                        `line 1: step "-1": want a number from 1 on`,
		"after lock do request sha1 sha1":                                                                              `line 1: request: "sha1" is too much`,
		"after lock do begin rot13":                                                                                    `line 1: no algorithm "rot13"`,
	} {
		_, err := antagonist.ParseScript(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A script puts one request exactly where it says: here between the key and
// the IV, so that the key is the wrong one.
func TestScript(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("after reg-write CNTR_IV0 count 2 do request cbc-aes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, options{policies: []string{"script=" + script}, seed: 1})
	q := requests(0)[1]
	want := r.expect(q.req)
	for n := range 4 {
		got := r.linux.Stock(q.req)
		if good := ok(got, want, 0); good != (n != 1) {
			t.Errorf("request %d: right: %v", n, good)
		}
	}
	if c := r.schedule.Counts()[0]; c.Requests != 1 || c.Algs[0].Alg != "cbc-aes" || bad(c) {
		t.Errorf("antagonist: %+v", c)
	}
}

// An antagonist that finds its own results wrong says where, and no key.
func TestCorruptionIsDescribed(t *testing.T) {
	r := newRig(t, options{policies: []string{"between,alg=cbc-aes"}, seed: 1})
	r.run(stock, 10)
	c := r.schedule.Counts()[0]
	if c.Corrupted == 0 || len(c.First) == 0 {
		t.Fatalf("nothing is corrupted: %+v", c)
	}
	for _, f := range c.First {
		if f.Alg != "cbc-aes" || f.Bytes == 0 || f.Part == "" {
			t.Errorf("%+v", f)
		}
	}
	if len(c.Algs) != 1 || c.Algs[0].Corrupted != c.Corrupted {
		t.Errorf("algorithms: %+v, want %d corrupted", c.Algs, c.Corrupted)
	}
}

// Every algorithm that the engine of a chip has is among the requests.
func TestAllAlgorithmsRun(t *testing.T) {
	r := newRig(t, options{soc: "sdm845", policies: []string{"every=1"}, seed: 1})
	q := qcetest.Digest{Hash: qcetest.SHA256, Data: make([]byte, 64)}
	for range 200 {
		r.linux.Series(q)
	}
	c := r.schedule.Counts()[0]
	var names []string
	for _, a := range c.Algs {
		names = append(names, a.Alg)
	}
	want := "authenc-hmac-sha1-cbc-aes authenc-hmac-sha256-cbc-aes cbc-aes cbc-des cbc-des3_ede ccm-aes cmac-aes ctr-aes ecb-aes ecb-des ecb-des3_ede hmac-sha1 hmac-sha256 sha1 sha256 xts-aes"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("algorithms:\n %s, want\n %s", got, want)
	}
}

// The secrets of an antagonist are in no event.
func TestKeysAreNotShown(t *testing.T) {
	var seen values
	r := newRig(t, options{policies: []string{"every=2,mode=mmio"}, seed: 1, sinks: []trace.Sink{&seen}})
	r.run(stock, 2)
	if seen.keys == 0 || seen.shown != 0 {
		t.Errorf("of %d key register writes %d show a value", seen.keys, seen.shown)
	}
}

type values struct{ keys, shown int }

func (v *values) Emit(e *trace.Event) {
	if e.Kind == trace.RegWrite && e.Block == trace.QCE && qce.Secret(e.Off) {
		v.keys++
		if e.Value != 0 {
			v.shown++
		}
	}
}
