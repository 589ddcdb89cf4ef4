package report

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Way is one way that requests of a guest took to an engine, measured by turns
// with others in the same guest.
type Way struct {
	Name      string  `json:"name"`
	Users     int     `json:"users"` // that make requests at the same time
	Requests  int     `json:"requests"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ns"`
	P99       float64 `json:"p99_ns"`

	// Engine is how many such requests the model's engine did meanwhile.
	Engine   uint64 `json:"engine_requests"`
	Attested bool   `json:"attested"` // Engine is what it must be

	// What a request takes on average, in ns: wall-clock time, and of processors.
	Wall  float64 `json:"wall_ns"`
	Guest float64 `json:"guest_ns"` // QEMU's threads that execute the guest
	QEMU  float64 `json:"qemu_ns"`  // QEMU's other threads
	Qcemu float64 `json:"qcemu_ns"` // this program
	Model float64 `json:"model_ns"` // of that, in the model
	Queue float64 `json:"queue_ns"` // threads that were ready to run and had no processor

	// What a request causes on average.
	Reads      float64 `json:"register_reads,omitempty"`
	Writes     float64 `json:"register_writes,omitempty"`
	Interrupts float64 `json:"interrupts,omitempty"` // that the guest took
	Kicks      float64 `json:"kicks,omitempty"`
	Calls      float64 `json:"calls,omitempty"`
}

// WayBuiltin is the name of the way that others are compared with.
const WayBuiltin = "built-in"

// transport is the time of a request in which nobody works: hand-offs from one
// thread to the next. It makes sense for a single user only.
func (w *Way) transport() float64 { return max(w.Wall-w.Guest-w.QEMU-w.Qcemu, 0) }

// RatioToBuiltin is the number of requests in a second relative to the built-in
// way's with as many users, 0 if that was not measured.
func RatioToBuiltin(ways []Way, w *Way) float64 {
	i := slices.IndexFunc(ways, func(o Way) bool { return o.Name == WayBuiltin && o.Users == w.Users })
	if i < 0 || ways[i].PerSecond == 0 {
		return 0
	}
	return w.PerSecond / ways[i].PerSecond
}

// wayTitles are the ways in words.
var wayTitles = map[string]string{
	"vhost-user": "virtio-crypto on the engine, by vhost-user",
	WayBuiltin:   "virtio-crypto on QEMU's built-in back-end",
	"qce":        "the engine's own driver, by BAM and QCE",
}

// WriteWays writes the comparison of the ways for a person.
func WriteWays(w io.Writer, ways []Way) {
	if len(ways) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWays to an engine (4 KiB cbc(aes) requests, by turns in one guest):")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "way\tusers\trequests/s\tto built-in\tp50\tp99\tengine did\t")
	for i := range ways {
		x := &ways[i]
		ratio := "-"
		if v := RatioToBuiltin(ways, x); v > 0 {
			ratio = fmt.Sprintf("%.2f", v)
		}
		attested := fmt.Sprintf("%d of %d", x.Engine, x.Requests)
		if !x.Attested {
			attested += " (!)"
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%s\t%s\t\n", wayTitle(x.Name), x.Users, x.PerSecond, ratio, micros(x.P50), micros(x.P99), attested)
	}
	t.Flush()
	fmt.Fprintln(w, "\nWhere the time of a request goes (µs of processors; hand-offs: nobody works, a thread is being woken):")
	t = tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "way\tusers\tall\tguest\tQEMU\tqcemu\tof that the model\thand-offs\tno processor\tcaused by a request\t")
	for i := range ways {
		x := &ways[i]
		transport := "-"
		if x.Users == 1 {
			transport = micros(x.transport())
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Name, x.Users, micros(x.Wall), micros(x.Guest), micros(x.QEMU),
			micros(x.Qcemu), micros(x.Model), transport, micros(x.Queue), x.causes())
	}
	t.Flush()
}

func wayTitle(name string) string {
	if t := wayTitles[name]; t != "" {
		return t
	}
	return name
}

// causes says what a request makes others do.
func (w *Way) causes() string {
	text := fmt.Sprintf("%.2f interrupts", w.Interrupts)
	switch {
	case w.Kicks > 0 || w.Calls > 0:
		text += fmt.Sprintf(", %.2f kicks, %.2f calls", w.Kicks, w.Calls)
	case w.Reads > 0:
		text += fmt.Sprintf(", %.1f reads, %.1f writes", w.Reads, w.Writes)
	}
	return text
}

func micros(ns float64) string { return fmt.Sprintf("%.0f µs", ns/float64(time.Microsecond)) }
