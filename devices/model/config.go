package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
)

// Config says what a model is made of. Its JSON form stands at the head of a
// recording.
type Config struct {
	SoC      string              `json:"soc"`
	Readings reading.Choice      `json:"readings,omitempty"`
	Seed     uint64              `json:"seed"` // of all that is drawn by chance
	Order    Order               `json:"order,omitempty"`
	Timing   cryptoblock.Timing  `json:"timing,omitzero"`
	Faults   *cryptoblock.Faults `json:"faults,omitempty"`
	Clients  []Client            `json:"clients,omitempty"` // beside Linux, outside the model
	// Policies of the antagonists, the secure side's first, then the modem's.
	Antagonists []antagonist.Policy `json:"antagonists,omitempty"`
	Integrity   bool                `json:"integrity,omitempty"` // compare what each side wanted from the engine with what it got
	InFlight    bool                `json:"in_flight,omitempty"`
	Check       *Check              `json:"check,omitempty"`  // nil: no checker
	Oracle      int                 `json:"oracle,omitempty"` // longest operation that the oracle judges, in bytes; 0: no oracle
}

// Order is the order in which pipes and engine move.
type Order string

const (
	Fastest Order = ""       // cryptoblock's default
	Random  Order = "random" // cryptoblock.NewRandomOrder
)

// Check is the checker's part of a Config; 0 is the default of a limit.
type Check struct {
	Patience uint64 `json:"patience,omitempty"`
	Polls    uint32 `json:"polls,omitempty"`
	PollTime uint64 `json:"poll_time,omitempty"`
	Off      bool   `json:"off,omitempty"` // there is no checker, as if Config.Check were nil
}

// Client is a user of the block beside Linux that acts from outside, by a
// cryptoblock.Port.
type Client struct {
	Name string `json:"name"`
	EE   int    `json:"ee"`
	Pair int    `json:"pair"`
}

// Limits of what a Config may ask for, which may come from a file of unknown
// origin.
const (
	maxClients = 8
	maxBuffer  = 1 << 20
	maxOracle  = 1 << 26
)

// Validate says what is wrong with a configuration.
func (c *Config) Validate() error {
	if _, err := cryptoblock.ProfileByName(c.SoC); err != nil {
		return err
	}
	if err := reading.Check(c.Readings, bam.ReadingTable(), qce.Readings); err != nil {
		return err
	}
	switch {
	case c.Order != Fastest && c.Order != Random:
		return fmt.Errorf("no order %q of steps", c.Order)
	case len(c.Clients) > maxClients:
		return fmt.Errorf("%d clients: there is room for %d", len(c.Clients), maxClients)
	case !sane(c.Timing.Buffer) || c.Timing.Prefetch < 0:
		return fmt.Errorf("timing: the engine's buffer must have 0 to %d bytes, a prefetch 0 or more descriptors", maxBuffer)
	case c.Faults != nil && !sane(c.Faults.Buffer):
		return fmt.Errorf("faults: the engine's buffer must have 0 to %d bytes", maxBuffer)
	case c.Oracle < 0 || c.Oracle > maxOracle:
		return fmt.Errorf("oracle: the limit must be 0 to %d bytes", maxOracle)
	}
	return nil
}

func sane(n int) bool { return n >= 0 && n <= maxBuffer }

// Chip is a fingerprint of the profile: it changes when a value of the chip
// does.
func (c *Config) Chip() string {
	p, err := cryptoblock.ProfileByName(c.SoC)
	if err != nil {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
