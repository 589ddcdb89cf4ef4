package testbench

import (
	"context"
	"log/slog"
	"sync"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
)

// Model is a crypto block with those who watch it.
type Model struct {
	Block    *cryptoblock.Block
	Counter  *attest.Counter
	Findings *finding.Log
}

// NewModel makes the model of a chip.
func NewModel(p *cryptoblock.Profile, readings reading.Choice) (*Model, error) {
	m := &Model{Counter: attest.NewCounter()}
	m.Findings = finding.NewLog(func(e *trace.Event) string { return m.Block.Describe(e) })
	var err error
	m.Block, err = cryptoblock.New(*p, cryptoblock.Options{Readings: readings, Sinks: []trace.Sink{m.Counter, m.Findings}})
	if err != nil {
		return nil, &UsageError{err}
	}
	return m, nil
}

// Begin attributes what follows to a suite.
func (m *Model) Begin(suite string) {
	m.Counter.Begin(suite)
	m.Findings.Begin(suite)
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
	return vfiouser.New(vfiouser.Config{Device: m.Block, PCI: identity, BARSize: cryptoblock.WindowSize, Log: log})
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

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
