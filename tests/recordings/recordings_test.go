package recordings

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/record"
	"github.com/qcemu/qcemu/report"
)

var update = flag.Bool("update", false, "write the findings anew, and recordings that do not replay")

// files are the recordings in this folder.
func files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.qrec")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("there are no recordings")
	}
	return list
}

func replay(t *testing.T, path string) *record.Result {
	t.Helper()
	res, err := reading(t, path, func(r *record.Reader) (*record.Result, error) {
		return record.Replay(context.Background(), r, record.Without{})
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func reading[T any](t *testing.T, path string, do func(r *record.Reader) (T, error)) (T, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := record.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return do(r)
}

// findings are the results of a replay as the program writes them.
func findings(t *testing.T, res *record.Result) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := report.WriteEngine(dir, res.Model.Counter.Rows(), res.Model.Findings.Findings()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, report.FindingsFile))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRecordings(t *testing.T) {
	for _, path := range files(t) {
		name := strings.TrimSuffix(path, ".qrec")
		t.Run(name, func(t *testing.T) {
			res := replay(t, path)
			if (res.Divergence != nil || res.OtherRules) && *update {
				again(t, path)
				res = replay(t, path)
			}
			if res.Divergence != nil || !res.Complete {
				t.Fatalf("complete %v; divergence: %v (if the change is meant: go test -update)", res.Complete, res.Divergence)
			}
			got := findings(t, res)
			if second := findings(t, replay(t, path)); !bytes.Equal(got, second) {
				t.Errorf("two replays differ: %s", cmp.Diff(string(got), string(second)))
			}
			golden := name + ".findings.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// again makes a recording of what the model does today.
func again(t *testing.T, path string) {
	t.Helper()
	fresh := filepath.Join(t.TempDir(), "fresh.qrec")
	if _, err := reading(t, path, func(r *record.Reader) (uint64, error) { return record.Copy(context.Background(), r, 0, fresh) }); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s made again", path)
}

// What the recordings are there to show.
func TestRace(t *testing.T) {
	for _, side := range replay(t, "race.qrec").Model.Integrity() {
		linux := side.EE == 0
		for _, a := range side.Algs {
			if bad := a.Corrupted > 0; bad != linux {
				t.Errorf("EE%d, %s: %d of %d requests corrupted", side.EE, a.Alg, a.Corrupted, a.Requests)
			}
		}
	}
	locked := replay(t, "locked.qrec").Model
	sides := locked.Integrity()
	if len(sides) < 2 {
		t.Errorf("locked: %d sides", len(sides))
	}
	for _, side := range sides {
		if side.Corrupted+side.Lost > 0 || side.Requests < 20 {
			t.Errorf("locked: EE%d: %d requests, %d corrupted, %d lost", side.EE, side.Requests, side.Corrupted, side.Lost)
		}
	}
	if c := locked.Antagonists(); len(c) != 1 || c[0].Requests == 0 {
		t.Errorf("locked: the other side: %+v", c)
	}
}

// Both drivers came up, and used the engine each in its own way.
func TestProbe(t *testing.T) {
	for driver, commands := range map[string]bool{"stock": false, "series": true} {
		rows := replay(t, "probe-"+driver+".qrec").Model.Counter.Rows()
		if len(rows) == 0 {
			t.Errorf("%s: no request", driver)
		}
		for _, r := range rows {
			if (r.ByCommand == r.Requests) != commands || (r.ByCPU == r.Requests) == commands {
				t.Errorf("%s: %+v", driver, r)
			}
		}
	}
}

// The repository is no place for long recordings.
func TestSize(t *testing.T) {
	for _, path := range files(t) {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > 200<<10 {
			t.Errorf("%s has %d KiB", path, fi.Size()>>10)
		}
	}
}
