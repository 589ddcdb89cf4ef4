package testbench

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bamclient/software"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/virtiocrypto"
)

// BusyPoll is for how long a ring is looked at after a request if the user does not
// say otherwise: longer than a guest under TCG takes from one request to the next.
const BusyPoll = 300 * time.Microsecond

// virtioName is the virtio-crypto device as a user of the block.
const virtioName = "virtio-crypto"

// AddVirtio gives a model a place for a virtio-crypto device: the last one that
// the chip has, as antagonists take the first.
func AddVirtio(c *model.Config) error {
	p, err := cryptoblock.ProfileByName(c.SoC)
	if err != nil {
		return &UsageError{err}
	}
	places := p.Places()
	if len(places) == 0 {
		return usagef("SoC %s has no room for a virtio-crypto device beside Linux", p.Name)
	}
	at := places[len(places)-1]
	c.Clients = append(c.Clients, model.Client{Name: virtioName, EE: at.EE, Pair: at.Pair})
	return nil
}

// isVirtio reports whether an execution environment is the virtio-crypto
// device's.
func (m *Model) isVirtio(ee int) bool {
	return slices.ContainsFunc(m.Config.Clients, func(c model.Client) bool { return c.Name == virtioName && c.EE == ee })
}

// Virtio is a virtio-crypto device on a model's engine, behind vhost-user.
type Virtio struct {
	Device *virtiocrypto.Device
	Server *backend.Server
	state  *backend.State // nil: none
}

// NewVirtio returns the device of a model that AddVirtio has prepared, with so
// many data queues. What must outlive the process is kept in the file state, if
// one is named.
func (m *Model) NewVirtio(queues int, state string, busyPoll time.Duration, log *slog.Logger) (*Virtio, error) {
	for _, c := range m.Config.Clients {
		if c.Name != virtioName {
			continue
		}
		client, err := bamclient.New(c.Name, m.Profile, cryptoblock.Place{EE: c.EE, Pair: c.Pair})
		if err != nil {
			return nil, &UsageError{err}
		}
		client.Attach(m.Block)
		v := &Virtio{}
		var engine virtiocrypto.Engine = client
		if m.meter != nil {
			engine = meteredEngine{client, m.meter}
		}
		v.Device, err = virtiocrypto.New(virtiocrypto.Config{Engine: engine, Fallback: software.Engine{}, DataQueues: queues})
		if err != nil {
			return nil, &UsageError{err}
		}
		if state != "" {
			if v.state, err = backend.OpenState(state, v.Device); err != nil {
				return nil, usagef("state of the virtio-crypto device: %w", err)
			}
		}
		v.Server = backend.New(backend.Config{Device: v.Device, State: v.state, Log: log, BusyPoll: busyPoll})
		return v, nil
	}
	return nil, errors.New("the model was made without a virtio-crypto device")
}

// Release ends the use of the state and leaves it for the next server. After Close
// it does nothing.
func (v *Virtio) Release() error {
	if v.state == nil {
		return nil
	}
	return v.state.Release()
}

// Close ends the use of the state and removes it.
func (v *Virtio) Close() error {
	if v.state == nil {
		return nil
	}
	return v.state.Close()
}

// Serve serves the device on a socket until ctx is done.
func (v *Virtio) Serve(ctx context.Context, wg *sync.WaitGroup, path string) error {
	l, err := vhostuser.Listen(path)
	if err != nil {
		return err
	}
	wg.Go(func() {
		if err := v.Server.Serve(ctx, l); err != nil {
			slog.Error("serving the virtio-crypto device", "error", err)
		}
	})
	return nil
}
