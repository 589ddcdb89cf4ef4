package record

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/model"
)

func opener(file []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
}

// shrunk shrinks a recording to a finding.
func shrunk(t *testing.T, file []byte, id string) ([]byte, *Shrinking) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.qrec")
	tries := 0
	done, err := Shrink(context.Background(), opener(file), id, path, func(s Shrinking) {
		if s.Tries != tries+1 || s.Left > s.Recorded {
			t.Errorf("progress %+v after %d tries", s, tries)
		}
		tries = s.Tries
	})
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return out, done
}

func shows(m *model.Model, id string) bool {
	return slices.ContainsFunc(m.Findings.Findings(), func(f finding.Finding) bool { return f.ID == id })
}

// The findings of a race can be shown by recordings of their own, which are as
// good as any, and which no entry can be left out of.
func TestShrink(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Check: &model.Check{}, Seed: 11, Antagonists: policies(t, "between,alg=cbc-aes+sha256")}, 1)
	findings := run.model.Findings.Findings()
	if len(findings) < 4 {
		t.Fatalf("a race with %d findings only", len(findings))
	}
	for i, f := range []finding.Finding{findings[0], findings[len(findings)-1]} {
		file, done := shrunk(t, run.file, f.ID)
		res := replay(t, file)
		if res.Divergence != nil || !res.Complete || res.Entries != uint64(done.Left) {
			t.Errorf("%s: complete %v, %d entries of %d, divergence %v", f.ID, res.Complete, res.Entries, done.Left, res.Divergence)
		}
		if !shows(res.Model, f.ID) {
			t.Errorf("%s is not shown", f.ID)
		}
		if done.Left > done.Recorded || done.Recorded == 0 {
			t.Errorf("%s: %+v", f.ID, *done)
		}
		if i > 0 { // the others take long
			continue
		}
		if again, _ := shrunk(t, run.file, f.ID); !bytes.Equal(file, again) {
			t.Errorf("%s: a second time gives another recording", f.ID)
		}
		minimal(t, file, f.ID)
	}
}

// minimal checks that a shrunk recording cannot be shrunk any more.
func minimal(t *testing.T, file []byte, id string) {
	t.Helper()
	again, done := shrunk(t, file, id)
	if done.Left != done.Recorded {
		t.Errorf("%s: %d of %d entries would do", id, done.Left, done.Recorded)
	}
	if !bytes.Equal(file, again) {
		t.Errorf("%s: the smallest recording shrinks to another one", id)
	}
}

// What is read in entries that are left out is not lost: the descriptors that
// one doorbell publishes are the same as those that three publish.
func TestShrinkKeepsMemory(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Check: &model.Check{}}, 2)
	findings := run.model.Findings.Findings()
	if len(findings) == 0 {
		t.Skip("both drivers are without a finding now")
	}
	for _, f := range findings {
		file, done := shrunk(t, run.file, f.ID)
		if res := replay(t, file); !shows(res.Model, f.ID) {
			t.Errorf("%s is not shown by %d entries", f.ID, done.Left)
		}
	}
}

func TestShrinkToNothing(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 1)
	path := filepath.Join(t.TempDir(), "s.qrec")
	_, err := Shrink(context.Background(), opener(run.file), "NO-RULE-999", path, nil)
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Errorf("an unknown finding: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file")
	}
	_, err = Shrink(context.Background(), opener(run.file[:40]), "NO-RULE-999", path, nil)
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		t.Errorf("a damaged file: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = Shrink(ctx, opener(run.file), "NO-RULE-999", path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
