package record

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/reading"
)

// FuzzRecording feeds everything that reads a recording with any bytes at all.
func FuzzRecording(f *testing.F) {
	for _, c := range []model.Config{
		{SoC: "sdm845", Check: &model.Check{}},
		{SoC: "ipq4019", Order: model.Random, Antagonists: policies(f, "every=3")},
	} {
		file := runLinux(f, c, 1).file
		f.Add(file[:min(len(file), 4000)], []byte{})
	}
	head := headOf(f, model.Config{SoC: "sdm845", Check: &model.Check{}})
	f.Add(head, []byte{})
	f.Add(head, []byte{byte(writeRec), 0x80, 0x20, 8, byte(fetchRec), 6, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, byte(leaveRec), byte(resetRec), byte(leaveRec)})
	f.Add(head, []byte{byte(idleRec), byte(leaveRec) | hasWrites, 1, 0, 0, 0, 0, byte(faultRec) | onWrite, 1, 8, 9, 2, 1, byte(suiteRec), 2, 'a', 'b', byte(endRec)})
	f.Fuzz(func(t *testing.T, file, records []byte) {
		// Checksums keep a fuzzer out: records come in a chunk of their own.
		if len(records) > 0 && len(records) <= maxRaw {
			p, err := newPacker().pack(dataChunk, records)
			if err != nil {
				t.Fatal(err)
			}
			file = append(bytes.Clone(file), p...)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, read := range []func(r *Reader) error{
			func(r *Reader) error { _, err := Replay(ctx, r); return err },
			func(r *Reader) error {
				_, err := Variant(ctx, r, reading.Choice{"qce-surplus-input": "drained"})
				return err
			},
			func(r *Reader) error { return Print(ctx, io.Discard, r, Span{}) },
		} {
			r, err := NewReader(bytes.NewReader(file))
			if err == nil {
				err = read(r)
			}
			var damaged *DamagedError
			if err != nil && !errors.As(err, &damaged) && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("neither a recording nor damaged: %v", err)
			}
		}
	})
}

// headOf is what stands before the records.
func headOf(t testing.TB, c model.Config) []byte {
	run := runLinux(t, c, 0)
	in := newUnpacker(bytes.NewReader(run.file[len(magic)+1:]))
	if _, _, err := in.next(); err != nil {
		t.Fatal(err)
	}
	return run.file[:len(magic)+1+int(in.off)]
}
