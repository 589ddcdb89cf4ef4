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

// FuzzRecording feeds everything that reads a recording with any bytes at all:
// as a file, and, since checksums keep a fuzzer out of there, as the records of
// a file that is in order otherwise.
func FuzzRecording(f *testing.F) {
	var heads [][]byte
	for _, c := range []model.Config{
		{SoC: "sdm845", Check: &model.Check{}},
		{SoC: "ipq4019", Order: model.Random, Antagonists: policies(f, "every=3")},
	} {
		heads = append(heads, headOf(f, c))
		file := runLinux(f, c, 1).file
		f.Add(file[:min(len(file), 4000)], byte(0), []byte{})
		_, records := recordsOf(f, file)
		f.Add([]byte{}, byte(len(heads)-1), records[:min(len(records), 3000)])
	}
	f.Add([]byte{}, byte(0), []byte{byte(writeRec), 0x80, 0x20, 8, byte(fetchRec), 6, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, byte(leaveRec), byte(resetRec), byte(leaveRec)})
	f.Add([]byte{}, byte(1), []byte{byte(idleRec), byte(leaveRec) | hasWrites, 1, 0, 0, 0, 0, byte(faultRec) | onWrite, 1, 8, 9, 2, 1, byte(suiteRec), 2, 'a', 'b', byte(endRec)})
	f.Fuzz(func(t *testing.T, file []byte, head byte, records []byte) {
		if len(records) > 0 && len(records) <= maxRaw {
			p, err := newPacker().pack(dataChunk, records)
			if err != nil {
				t.Fatal(err)
			}
			file = append(bytes.Clone(heads[int(head)%len(heads)]), p...)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, read := range []func(r *Reader) error{
			func(r *Reader) error { _, err := Replay(ctx, r, Without{}); return err },
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
	head, _ := recordsOf(t, runLinux(t, c, 0).file)
	return head
}

// recordsOf takes a recording with one chunk of records apart.
func recordsOf(t testing.TB, file []byte) (head, records []byte) {
	in := newUnpacker(bytes.NewReader(file[len(magic)+1:]))
	if _, _, err := in.next(); err != nil {
		t.Fatal(err)
	}
	head = file[:len(magic)+1+int(in.off)]
	_, records, err := in.next()
	if err != nil {
		t.Fatal(err)
	}
	return head, bytes.Clone(records)
}
