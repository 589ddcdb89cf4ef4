package share

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// hold lets a 9P server end without a panic.
//
// The server waits for its goroutines with a sync.WaitGroup into which each of
// them enters itself, when it begins and again after each request. One that does so
// while the server waits already makes sync panic, in a goroutine where nobody
// recovers. So the goroutine that would wait, which is the one that called the
// server, is given a request of our own before any of the client's (attachRequest),
// and is held in it until all others are gone.
type hold struct {
	attach  func() (p9.File, error)
	label   string
	first   atomic.Bool
	held    chan struct{} // closed: the first goroutine is in our request
	release chan struct{} // closed: it may go on
}

// labelKey is the name of the profiling label by which the goroutines of one
// connection are known: a goroutine has the labels of the one that started it.
const labelKey = "9P connection"

var connections atomic.Int64

func newHold(attach func() (p9.File, error)) *hold {
	return &hold{
		attach: attach,
		label:  strconv.FormatInt(connections.Add(1), 10),
		held:   make(chan struct{}), release: make(chan struct{}),
	}
}

// holdTag is the tag of our own request. No client may use it: Linux takes the
// lowest free number.
const holdTag = 0xfffe

// attachRequest is the request in which Attach holds the first goroutine: a
// Tattach (fid[4] afid[4] uname[s] aname[s] n_uname[4]).
var attachRequest = []byte{
	7 + 4 + 4 + 2 + 2 + 4, 0, 0, 0, tAttach, holdTag & 0xff, holdTag >> 8,
	0, 0, 0, 0,
	0xff, 0xff, 0xff, 0xff, // no authentication
	0, 0,
	0, 0,
	0, 0, 0, 0,
}

// Attach gives clients the root of what is shared.
func (h *hold) Attach() (p9.File, error) {
	if h.first.CompareAndSwap(false, true) {
		close(h.held)
		<-h.release
		return nil, linux.EIO // nobody is there any more to read it
	}
	return h.attach()
}

// handle serves one connection. The guard begins with attachRequest.
func (h *hold) handle(g *guard) {
	var wg sync.WaitGroup
	wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels(labelKey, h.label), func(context.Context) {
			p9.NewServer(h).Handle(g, g)
		})
	})
	<-g.ended
	for pause := time.Millisecond; goroutines(h.label) > 1; pause = min(2*pause, 100*time.Millisecond) {
		time.Sleep(pause)
	}
	g.Close()
	close(h.release)
	wg.Wait()
}

// inProfile is a group of goroutines in a profile: how many, and its labels.
var inProfile = regexp.MustCompile(`(?m)^(\d+) @.*\n# labels: \{(.*)\}$`)

// goroutines counts those with a label.
func goroutines(label string) int {
	var profile bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&profile, 1)
	n, want := 0, fmt.Appendf(nil, "%q:%q", labelKey, label)
	for _, group := range inProfile.FindAllSubmatch(profile.Bytes(), -1) {
		if bytes.Contains(group[2], want) {
			k, _ := strconv.Atoi(string(group[1]))
			n += k
		}
	}
	return n
}
