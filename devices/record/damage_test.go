package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
)

// tryReplay replays what may be no recording at all.
func tryReplay(file []byte) (*Result, error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return Replay(context.Background(), r, Without{})
}

// A run that dies leaves a file that ends anywhere.
func TestPrefix(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Check: &model.Check{}}, 3)
	var most uint64
	for n := 0; n < len(run.file); n += 1 + n/97 {
		res, err := tryReplay(run.file[:n])
		var damaged *DamagedError
		switch {
		case errors.As(err, &damaged) && most == 0: // it does not say what was recorded yet
		case err != nil:
			t.Fatalf("%d bytes: %v", n, err)
		case res.Complete || res.Divergence != nil:
			t.Fatalf("%d bytes: complete %v, divergence %v", n, res.Complete, res.Divergence)
		case res.Entries < most:
			t.Fatalf("%d bytes give %d entries, fewer bytes gave %d", n, res.Entries, most)
		default:
			most = max(most, res.Entries)
		}
	}
	if most == 0 {
		t.Error("no prefix gives any entry")
	}
}

// What a prefix shows is what the run had shown until then.
func TestPrefixOfChunk(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 3)
	whole := replay(t, run.file)
	// Without the tail nothing but the end is missing.
	in := newUnpacker(bytes.NewReader(run.file[len(magic)+1:]))
	var ends []int64
	for {
		if _, _, err := in.next(); err != nil {
			break
		}
		ends = append(ends, in.off)
	}
	cut := run.file[:len(magic)+1+int(ends[len(ends)-2])]
	res := replay(t, cut)
	if res.Complete {
		t.Error("complete without its end")
	}
	if results(t, res.Model) != results(t, whole.Model) || res.Entries != whole.Entries {
		t.Error("the records are there, the results are not")
	}
}

func TestDamage(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 1)
	for i := 0; i < len(run.file); i += 1 + i/300 {
		file := bytes.Clone(run.file)
		file[i] ^= 0x10
		_, err := tryReplay(file)
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			// A length that grew lets the file seem cut off.
			if err == nil {
				if res, _ := tryReplay(file); !res.Complete {
					continue
				}
			}
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("byte %d changed: more than one line: %q", i, err)
		}
	}
	for name, file := range map[string][]byte{
		"empty": nil, "text": []byte("hello, world, this is no recording"), "magic alone": []byte(magic),
		"newer": append([]byte(magic), version+1), "longer": append(bytes.Clone(run.file), run.file[len(run.file)-200:]...),
	} {
		_, err := tryReplay(file)
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSenseless has files that are whole and whose checksums are right, and which
// no recorder writes.
func TestSenseless(t *testing.T) {
	whole := runLinux(t, model.Config{SoC: "sdm845"}, 1).file
	head, _ := recordsOf(t, whole)
	pack := func(typ byte, raw string) []byte {
		p, err := newPacker().pack(typ, []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(p)
	}
	start := append([]byte(magic), version)
	header := func(text string) []byte { return slices.Concat(start, pack(headChunk, text)) }
	// stored is a chunk that says of itself that it is compressed.
	stored := func(raw uint64, bytes ...byte) []byte {
		h := binary.AppendUvarint(binary.AppendUvarint([]byte{dataChunk}, raw), uint64(len(bytes)))
		sum := crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, bytes)
		return slices.Concat(head, binary.LittleEndian.AppendUint32(h, sum), bytes)
	}
	records := func(b ...byte) []byte { return slices.Concat(head, pack(dataChunk, string(b))) }
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no header":                 {slices.Concat(start, pack(dataChunk, "{}")), "does not begin with a header"},
		"a header that is too long": {header(strings.Repeat(" ", maxHead+1)), "does not begin with a header"},
		"a header that is text":     {header("hello"), "header: invalid character"},
		"a header without a chip":   {header("{}"), "header: "},
		"an oracle of any length":   {header(`{"config":{"soc":"sdm845","oracle":1073741824}}`), "oracle: the limit must be"},
		"a buffer of any length":    {header(`{"config":{"soc":"sdm845","timing":{"buffer":1073741824}}}`), "timing: the engine's buffer"},
		"an unknown chunk":          {slices.Concat(head, pack('?', "x")), `no chunk of type '?'`},
		"an end that is text":       {slices.Concat(head, pack(tailChunk, "hello")), "the recording's end: invalid character"},
		"something behind the end":  {slices.Concat(whole, pack(dataChunk, string(byte(endRec)))), "goes on behind its end"},
		"a length without end":      {slices.Concat(head, []byte{dataChunk}, bytes.Repeat([]byte{0x80}, 11)), "its length is no number"},
		"a length of 4 GiB":         {slices.Concat(head, binary.AppendUvarint([]byte{dataChunk}, 1<<32), []byte{0}), "its length is impossible"},
		"what does not decompress":  {stored(100, 0xff, 0xff), "it does not decompress"},
		"what decompresses to less": {stored(100, 0x01, 0, 0, 0xff, 0xff), "it does not decompress"},
		"an unknown record":         {records(0xf), "no record of kind 15"},
		"an EE that is not there":   {records(byte(resetRec)|otherEE, 99), "no execution environment 99"},
		"an access of no byte":      {records(byte(readRec)|otherSize, 0, 0), "an access of 0 bytes at 0x0"},
		"an access of nine bytes":   {records(byte(readRec)|otherSize, 9, 0), "an access of 9 bytes at 0x0"},
		"a suite of a long name":    {records(byte(suiteRec), 0xff, 0x7f), "a suite's name is too long"},
		"a fetch of 2 MiB":          {records(byte(fetchRec), 0, 0x80, 0x80, 0x80, 1, 0), "is longer than any"},
		"a record cut off":          {records(byte(writeRec), 0x80), "a record is cut off"},
		"a size cut off":            {records(byte(writeRec) | otherSize), "a record is cut off"},
		"a fault cut off":           {records(byte(faultRec), 0, 4, 0), "a record is cut off"},
	} {
		_, err := tryReplay(c.file)
		if _, ok := errors.AsType[*DamagedError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// rewrite takes a recording apart and puts it together again, with other
// records.
func rewrite(t *testing.T, file []byte, change func(n *rec) (keep bool)) []byte {
	t.Helper()
	return rewriteAs(t, file, func(*Header) {}, change)
}

func rewriteAs(t *testing.T, file []byte, head func(*Header), change func(n *rec) (keep bool)) []byte {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	head(&r.Header)
	path := filepath.Join(t.TempDir(), "rewritten.qrec")
	w, err := create(path, r.Header, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.start(0)
	var load bool
	for {
		n, err := r.take()
		if err != nil {
			break
		}
		if !change(n) {
			continue
		}
		w.do(func(e *encoder) {
			switch n.kind {
			case readRec, writeRec, resetRec, idleRec:
				load = n.kind == readRec
				e.entry(&n.entry)
				w.entries++
			case leaveRec:
				done := cryptoblock.Entry{Kind: cryptoblock.WriteEntry}
				if load {
					done = cryptoblock.Entry{Kind: cryptoblock.ReadEntry, Value: n.value}
				}
				e.leave(&done, n.writes, n.sum)
			case fetchRec:
				e.fetch(n.pipe, n.addr, n.data)
			case faultRec:
				if n.write {
					e.writeFault(n.pipe, n.addr, n.size, n.reason, n.writes)
				} else {
					e.fault(n.pipe, n.addr, n.size, n.reason)
				}
			case suiteRec:
				e.suite(n.suite)
			case endRec:
				e.end()
			}
		})
	}
	w.ended = true
	m, err := model.New(r.Header.Config, model.Options{Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	w.open = true
	if err := w.Close(m); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDivergence(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 1)
	// nth makes a change at the n-th record of a kind.
	nth := func(k kind, n int, change func(r *rec) bool) func(*rec) bool {
		return func(r *rec) bool {
			if r.kind == k {
				if n--; n == 0 {
					return change(r)
				}
			}
			return true
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*rec) bool
		want   string
	}{
		{"value of a load", func() func(*rec) bool {
			reads := 0
			return func(r *rec) bool {
				if r.kind == readRec {
					reads++
				}
				if r.kind == leaveRec && reads == 1 {
					r.value ^= 1
					reads++
				}
				return true
			}
		}(), "recorded is"},
		{"address", nth(fetchRec, 5, func(r *rec) bool { r.addr += 8; return true }), "the model reads 8 bytes of memory at"},
		{"access left out", nth(fetchRec, 5, func(r *rec) bool { return false }), "here the recording has"},
		{"input", nth(fetchRec, 3, func(r *rec) bool { r.data = bytes.Repeat([]byte{0x55}, len(r.data)); return true }), "entry "},
		{"output", nth(leaveRec, 40, func(r *rec) bool { r.writes++; return true }), "has written memory"},
		{"entry left out", nth(writeRec, 4, func(r *rec) bool { r.entry.Value ^= 8; return true }), "entry "},
		{"results", func(*rec) bool { return true }, "are not those of the recorded run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, err := tryReplay(rewrite(t, run.file, tt.change))
			if err != nil {
				t.Fatal(err)
			}
			if res.Divergence == nil || !strings.Contains(res.Divergence.Error(), tt.want) {
				t.Errorf("divergence: %v, want %q", res.Divergence, tt.want)
			}
		})
	}
}

// Where other rules are known today, other findings are no divergence.
func TestOtherRules(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 1)
	res, err := tryReplay(rewriteAs(t, run.file, func(h *Header) { h.Rules = "others" }, func(*rec) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	if res.Divergence != nil || !res.OtherRules {
		t.Errorf("other rules %v, divergence %v", res.OtherRules, res.Divergence)
	}
}

// broken records until its file fails.
func broken(t *testing.T, file *os.File) (r *Recorder, told chan error) {
	t.Helper()
	c := model.Config{SoC: "sdm845"}
	told = make(chan error, 16)
	r, err := create(filepath.Join(t.TempDir(), "f.qrec"), Header{Tool: "test", Config: c}, func(err error) { told <- err })
	if err != nil {
		t.Fatal(err)
	}
	r.file.Close()
	r.file = file
	r.start(0)
	return r, told
}

func fill(r *Recorder, chunks int) {
	e := cryptoblock.Entry{Kind: cryptoblock.WriteEntry, Size: 4}
	p := make([]byte, chunkSize)
	for i := range chunks {
		for j := range p {
			p[j] = byte(i*j>>3 + j*j>>5) // something that does not compress to nothing
		}
		r.Enter(&e)
		r.MemoryRead(3, 0x1000, p, nil)
		r.Leave(&e)
	}
}

// A disk that is full ends the recording, and nothing else.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	r, told := broken(t, full)
	fill(r, 10) // less than it may be behind
	m, err := model.New(model.Config{SoC: "sdm845"}, model.Options{Tap: r, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(m); err != nil {
		t.Errorf("told twice: %v", err)
	}
	if err := <-told; !strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("told: %v", err)
	}
	if len(told) > 0 {
		t.Errorf("told again: %v", <-told)
	}
	if _, err := Create("/dev/full", Header{Config: model.Config{SoC: "sdm845"}}, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Create: %v", err)
	}
}

// A disk that hangs holds up neither the model nor the end of the run.
func TestHangingDisk(t *testing.T) {
	rd, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	r, told := broken(t, wr)
	r.stall, r.patience = time.Millisecond, time.Millisecond
	fill(r, 4*buffers)
	if err := <-told; !errors.Is(err, errSlow) {
		t.Errorf("told: %v", err)
	}
	m, err := model.New(model.Config{SoC: "sdm845"}, model.Options{Tap: r, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(m); err == nil {
		t.Error("Close does not say that the disk hangs")
	}
}

// What a full disk leaves is a recording without an end.
func TestFileSizeLimit(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 3)
	dir := t.TempDir()
	path := filepath.Join(dir, "f.qrec")
	r, err := create(path, Header{Tool: "test", Config: run.model.Config}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	r.start(0)
	m, err := model.New(run.model.Config, model.Options{Tap: r, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	m.Block.Reset()
	fill(r, 2)
	r.mu.Lock()
	r.stop(syscall.EFBIG)
	r.mu.Unlock()
	m.Block.Reset()
	if err := r.Close(m); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rd, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	s, err := load(context.Background(), rd, 0)
	if err != nil || s.ended {
		t.Fatalf("ended %v, %v", s.ended, err)
	}
	if len(s.items) == 0 {
		t.Error("nothing is left")
	}
}

func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.qrec")
	if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := model.Config{SoC: "sdm845"}
	r, err := Create(path, NewHeader(c, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.New(c, model.Options{Tap: r})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(m); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}
