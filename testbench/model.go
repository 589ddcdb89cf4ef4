package testbench

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/record"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
)

// Model is a crypto block with those who watch it, and the recording of what
// comes in, if one is asked for.
type Model struct {
	*model.Model
	recorder *record.Recorder // nil: none
	meter    *meter           // nil: none
}

// Recording says where a model's input is recorded.
type Recording struct {
	File   string // "": nowhere
	Origin string // of the recording, in words
}

// NewModel makes a model, with a checker, and with further readers of its event
// stream.
func NewModel(c model.Config, rec Recording, sinks ...trace.Sink) (*Model, error) {
	if c.Check == nil {
		c.Check = &model.Check{}
	}
	if err := c.Validate(); err != nil {
		return nil, &UsageError{err}
	}
	m := &Model{}
	o := model.Options{Sinks: sinks}
	if rec.File != "" {
		var err error
		m.recorder, err = record.Create(rec.File, record.NewHeader(c, rec.Origin), func(err error) { slog.Error(err.Error()) })
		if err != nil {
			return nil, usagef("--record: %w", err)
		}
		o.Tap = m.recorder
	}
	var err error
	if m.Model, err = model.New(c, o); err != nil {
		return nil, &UsageError{err}
	}
	return m, nil
}

// Doubt is not nil if the oracle has found an operation that the model has
// computed wrongly. Nothing else that the run says of a driver is to be trusted
// then.
func (m *Model) Doubt() error {
	if m.Oracle == nil || m.Oracle.Counts().Wrong == 0 {
		return nil
	}
	n := m.Oracle.Counts()
	return fmt.Errorf("the model has computed %d of %d operations wrongly, the first: %w. This is an error of qcemu and not of the driver: please report it",
		n.Wrong, n.Checked, m.Oracle.Mismatches()[0])
}

// pauseOracle has no operations judged until the function that it returns is
// called. It returns when all before are.
func (m *Model) pauseOracle() (resume func()) {
	if m.Oracle == nil {
		return func() {}
	}
	limit := func(n int) { m.Block.Between(func() { m.Oracle.SetLimit(n) }) }
	limit(0)
	m.Oracle.Counts()
	return func() { limit(m.Config.Oracle) }
}

// Close closes the books: nothing that happens afterwards counts. It ends the
// recording.
func (m *Model) Close() error {
	m.End()
	if m.recorder == nil {
		return nil
	}
	return m.recorder.Close(m.Model)
}

// WriteReports writes attestation and findings into a folder.
func (m *Model) WriteReports(dir string) error {
	return report.WriteEngine(dir, m.Counter.Rows(), m.Findings.Findings())
}

// identity is the block as QEMU sees it: a PCI function with Qualcomm's vendor
// number, a device number of our own, and the class of encryption controllers.
// The guest never looks at it.
var identity = vfiouser.PCI{VendorID: 0x17cb, DeviceID: 0x0ce5, SubsystemVendor: 0x17cb, SubsystemID: 0x0ce5, Class: 0x108000}

// Server returns a vfio-user server for the block.
func (m *Model) Server(log *slog.Logger) (*vfiouser.Server, error) {
	var device vfiouser.Device = m.Block
	if m.meter != nil {
		device = meteredBlock{device, m.meter}
	}
	return vfiouser.New(vfiouser.Config{Device: device, PCI: identity, BARSize: cryptoblock.WindowSize, Log: log})
}

// Serve serves the block, as it is after power-on, on a socket until ctx is
// done.
func (m *Model) Serve(ctx context.Context, wg *sync.WaitGroup, path string) error {
	m.Block.Reset()
	// QEMU's coming and going is no news here; only trouble is.
	log := slog.New(quiet{slog.Default().Handler()})
	server, err := m.Server(log)
	if err != nil {
		return err
	}
	l, err := vhostuser.Listen(path)
	if err != nil {
		return err
	}
	wg.Go(func() {
		if err := server.Serve(ctx, l); err != nil {
			log.Error("serving the crypto block", "error", err)
		}
	})
	return nil
}

// quiet drops what is less than a warning.
type quiet struct{ slog.Handler }

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
