package share

import (
	"context"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"testing"
)

// TestGoroutines counts goroutines that were started below a label, and no others.
func TestGoroutines(t *testing.T) {
	count := func(want int) {
		t.Helper()
		for label, want := range map[string]int{"mine": want, "min": 0, "": 0} {
			if got := goroutines(label); got != want {
				t.Errorf("%d goroutines with the label %q, want %d", got, label, want)
			}
		}
	}
	count(0)
	var wg, began sync.WaitGroup
	end := make(chan struct{})
	began.Add(3)
	wg.Go(func() { <-end })
	wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels(labelKey, "mine", "another", "label"), func(context.Context) {
			for range 2 {
				wg.Go(func() { began.Done(); <-end })
			}
			began.Done()
			<-end
		})
	})
	began.Wait()
	count(3)
	close(end)
	wg.Wait()
	count(0)
}

// TestEndInMidRequest cuts connections off at any byte, with many requests at
// work: the server must come to an end each time, with nothing left open.
func TestEndInMidRequest(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, "f"), make([]byte, 4<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	var requests []byte
	for tag := range uint16(40) {
		requests = append(requests, message(tRead, tag, 2, uint64(0), 64)...)
	}
	for round := range 200 {
		conn, done := h.connect(t)
		for _, m := range [][]byte{version(), attachTo(1), message(tWalk, 1, 1, 2, uint16(1), "f"), message(tLopen, 1, 2, 0)} {
			conn.Write(m)
			reply(t, conn)
		}
		conn.Write(requests[:len(requests)*round/200])
		conn.Close()
		<-done
		if open, nodes := h.server.open.Load(), h.server.nodes.Load(); open != 0 || nodes != 0 {
			t.Fatalf("round %d left %d files open, %d nodes", round, open, nodes)
		}
	}
}
