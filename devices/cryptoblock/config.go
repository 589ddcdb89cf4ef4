package cryptoblock

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
)

// bamConfig derives the BAM's configuration from the chip.
func (p *Profile) bamConfig(c reading.Choice, owners []uint8) (bam.Config, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return bam.Config{}, fmt.Errorf("SoC %s: %w", p.Name, err)
	}
	readings, err := bam.ResolveReadings(c)
	if err != nil {
		return bam.Config{}, err
	}
	cfg := bam.Config{
		Layout: layout, Revision: p.Revision, NumPipes: p.Pipes, NumEEs: p.NumEEs, AddrBits: p.AddrBits,
		Remote: bam.Remote(p.DT.Remote), ControlEE: p.controlEE(), Owners: owners,
		Window:   bam.Window{Base: p.QCEOffset, Size: p.QCESize},
		Secret:   qce.Secret,
		Readings: readings,
	}
	return cfg, cfg.Validate()
}

// qceConfig derives the engine's configuration from the chip.
func (p *Profile) qceConfig(c reading.Choice, owners []uint8) (qce.Config, error) {
	readings, err := qce.Readings.Resolve(c)
	if err != nil {
		return qce.Config{}, err
	}
	sets := make([]uint8, p.Pipes/2)
	for i := range sets {
		sets[i] = owners[2*i]
	}
	return qce.Config{
		Version: p.Version, Engines: p.Engines, GCM: p.GCM,
		PipeSetEE: sets, Readings: readings,
	}, nil
}

// EngineConfig is the engine's configuration without clients, for those who
// want to know what it would do.
func (p *Profile) EngineConfig(c reading.Choice) (qce.Config, error) {
	return p.qceConfig(c, p.Owners(nil))
}

// SecureEE is the execution environment of the secure side. Which one it is on
// a chip is not public; the model takes the one after Linux's [I].
func (p *Profile) SecureEE() int { return (p.EE + 1) % p.NumEEs }

// controlEE is who may write the BAM's global registers.
func (p *Profile) controlEE() int {
	if p.DT.Remote == Controlled {
		return p.SecureEE()
	}
	return p.EE
}

// Owners says which execution environment each pipe belongs to: Linux has its
// own pair, each client its pair, the secure side the rest (datasheet §11).
func (p *Profile) Owners(clients []Client) []uint8 {
	owners := make([]uint8, p.Pipes)
	for i := range owners {
		owners[i] = uint8(p.SecureEE())
	}
	set := func(pair, ee int) { owners[2*pair], owners[2*pair+1] = uint8(ee), uint8(ee) }
	for i := range clients {
		set(clients[i].Pair, clients[i].EE)
	}
	set(p.PipePair, p.EE)
	return owners
}
