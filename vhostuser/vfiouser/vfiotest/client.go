package vfiotest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// QEMUCapabilities is the version data that QEMU 11.1 sends.
const QEMUCapabilities = `{"capabilities": {"migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, ` +
	`"max_msg_fds": 16, "max_data_xfer_size": 1048576, "max_dma_maps": 65535, "pgsizes": 4096, "write_multiple": true}}`

// Memory is the client's side of memory that is not shared. It returns an errno
// for the reply.
type Memory func(cmd wire.Command, addr uint64, p []byte) unix.Errno

// Reply is what the server answered.
type Reply struct {
	wire.Header
	Payload []byte
}

// Err is the errno of the reply, if it reports an error.
func (r Reply) Err() error {
	if r.Flags&wire.Error == 0 {
		return nil
	}
	return unix.Errno(r.Errno)
}

// Client is a connection to a server.
type Client struct {
	sock *vhostuser.Socket
	done chan struct{} // closed when the server has closed the connection
	tx   sync.Mutex

	mu      sync.Mutex
	nextID  uint16
	waiting map[uint16]chan Reply
	mem     Memory
	held    bool // DMA requests are kept in queue
	queue   []Reply
	maxDMA  int // longest DMA access seen
}

// Dial connects to the server at path.
func Dial(path string) (*Client, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	sock, err := vhostuser.Accepted(c)
	if err != nil {
		return nil, err
	}
	return New(sock), nil
}

// New uses a connected socket.
func New(sock *vhostuser.Socket) *Client {
	c := &Client{sock: sock, done: make(chan struct{}), waiting: map[uint16]chan Reply{}}
	go c.receive()
	return c
}

// Close hangs up and waits until nothing of the client runs any more.
func (c *Client) Close() {
	c.sock.Shutdown()
	<-c.done
	c.sock.Close()
}

// Done is closed when the server has closed the connection.
func (c *Client) Done() <-chan struct{} { return c.done }

// SetMemory provides the memory that DMA_READ and DMA_WRITE go to.
func (c *Client) SetMemory(m Memory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mem = m
}

// HoldDMA keeps DMA requests unanswered until it is called with false. QEMU
// behaves so while one of its threads waits for a reply.
func (c *Client) HoldDMA(hold bool) {
	c.mu.Lock()
	c.held = hold
	var q []Reply
	if !hold {
		q, c.queue = c.queue, nil
	}
	c.mu.Unlock()
	for _, m := range q {
		c.answer(m)
	}
}

// LongestDMA is the length of the longest DMA access that the server asked for.
func (c *Client) LongestDMA() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxDMA
}

func (c *Client) receive() {
	defer close(c.done)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, ch := range c.waiting {
			close(ch)
		}
		c.waiting = nil
	}()
	for {
		var m Reply
		b := make([]byte, wire.HeaderSize)
		if c.fill(b) != nil {
			return
		}
		m.Header.Get(b)
		if m.Size < wire.HeaderSize || m.Size > 2<<20 {
			return
		}
		m.Payload = make([]byte, m.Size-wire.HeaderSize)
		if c.fill(m.Payload) != nil {
			return
		}
		if m.Flags&wire.TypeMask == wire.TypeCommand {
			c.answer(m)
			continue
		}
		c.mu.Lock()
		ch := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		if ch != nil {
			ch <- m
		}
	}
}

func (c *Client) fill(b []byte) error {
	for len(b) > 0 {
		n, fds, err := c.sock.Recv(b, true)
		vhostuser.CloseFDs(fds)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// answer executes a DMA message, or queues it.
func (c *Client) answer(m Reply) {
	var a wire.DMAAccess
	if len(m.Payload) < wire.DMAAccessSize {
		return
	}
	a.Get(m.Payload)
	c.mu.Lock()
	mem := c.mem
	c.maxDMA = max(c.maxDMA, int(a.Count))
	if c.held {
		c.queue = append(c.queue, m)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()

	errno := unix.EINVAL
	reply := m.Payload[:wire.DMAAccessSize]
	data := m.Payload[wire.DMAAccessSize:]
	if m.Cmd == wire.DMARead {
		data = make([]byte, a.Count)
		reply = append(reply, data...)
		data = reply[wire.DMAAccessSize:]
	}
	if mem != nil && uint64(len(data)) == a.Count {
		errno = mem(m.Cmd, a.Addr, data)
	}
	h := wire.Header{ID: m.ID, Cmd: m.Cmd, Flags: wire.TypeReply}
	if errno != 0 {
		h.Flags |= wire.Error
		h.Errno = uint32(errno)
		reply = nil
	}
	c.Raw(Encode(h, reply))
}

// Encode returns the message with its size filled in.
func Encode(h wire.Header, payload []byte) []byte {
	h.Size = uint32(wire.HeaderSize + len(payload))
	b := make([]byte, h.Size)
	h.Put(b)
	copy(b[wire.HeaderSize:], payload)
	return b
}

// Raw sends bytes as they are.
func (c *Client) Raw(b []byte, fds ...int) error {
	c.tx.Lock()
	defer c.tx.Unlock()
	return c.sock.Send(b, nil, fds...)
}

// Start sends a command; the reply comes through the channel, which is closed
// instead if the server goes away.
func (c *Client) Start(cmd wire.Command, payload []byte, fds ...int) <-chan Reply {
	ch := make(chan Reply, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		close(ch)
		return ch
	}
	c.nextID++
	id := c.nextID
	c.waiting[id] = ch
	c.mu.Unlock()
	c.Raw(Encode(wire.Header{ID: id, Cmd: cmd}, payload), fds...)
	return ch
}

// Do sends a command and waits for the reply. The error is the reply's errno,
// or io.EOF if the server went away.
func (c *Client) Do(cmd wire.Command, payload []byte, fds ...int) ([]byte, error) {
	r, ok := <-c.Start(cmd, payload, fds...)
	if !ok {
		return nil, io.EOF
	}
	return r.Payload, r.Err()
}

// Post sends a command without waiting for, or wanting, a reply.
func (c *Client) Post(cmd wire.Command, payload []byte, fds ...int) error {
	return c.Raw(Encode(wire.Header{Cmd: cmd, Flags: wire.NoReply}, payload), fds...)
}

// Version negotiates with version 0.0 and the given version data, and returns
// the server's.
func (c *Client) Version(data string) (string, error) {
	b := make([]byte, wire.VersionSize)
	if data != "" {
		b = append(append(b, data...), 0)
	}
	r, err := c.Do(wire.Version, b)
	if err != nil {
		return "", err
	}
	if len(r) < wire.VersionSize {
		return "", errors.New("short VERSION reply")
	}
	return string(r[wire.VersionSize:]), nil
}

// Map announces a range of memory, shared if fd is not negative.
func (c *Client) Map(fd int, m wire.Map) error {
	m.Argsz = wire.MapSize
	var fds []int
	if fd >= 0 {
		fds = []int{fd}
	}
	_, err := c.Do(wire.DMAMap, Payload(m), fds...)
	return err
}

// Unmap withdraws a range of memory.
func (c *Client) Unmap(m wire.Unmap) error {
	m.Argsz = wire.UnmapSize
	_, err := c.Do(wire.DMAUnmap, Payload(m))
	return err
}

// Read reads n bytes of a region.
func (c *Client) Read(region uint32, off uint64, n int) ([]byte, error) {
	r, err := c.Do(wire.RegionRead, Access(region, off, n, nil))
	if err != nil {
		return nil, err
	}
	if len(r) != wire.RegionAccessSize+n {
		return nil, fmt.Errorf("reply of %d bytes to a read of %d", len(r), n)
	}
	return r[wire.RegionAccessSize:], nil
}

// Write writes to a region and waits for the reply.
func (c *Client) Write(region uint32, off uint64, p []byte) error {
	_, err := c.Do(wire.RegionWrite, Access(region, off, len(p), p))
	return err
}

// PostWrite writes to a region without waiting.
func (c *Client) PostWrite(region uint32, off uint64, p []byte) error {
	return c.Post(wire.RegionWrite, Access(region, off, len(p), p))
}

// SetIRQs sends DEVICE_SET_IRQS.
func (c *Client) SetIRQs(q wire.IRQSet, data []byte, fds ...int) error {
	b := make([]byte, wire.IRQSetSize, wire.IRQSetSize+len(data))
	q.Argsz = uint32(cap(b))
	q.Put(b)
	_, err := c.Do(wire.DeviceSetIRQs, append(b, data...), fds...)
	return err
}

// Trigger makes fd the eventfd of INTx.
func (c *Client) Trigger(fd int) error {
	return c.SetIRQs(wire.IRQSet{Flags: wire.IRQDataEventfd | wire.IRQActionTrigger, Count: 1}, nil, fd)
}

// Unmask unmasks INTx.
func (c *Client) Unmask() error {
	return c.SetIRQs(wire.IRQSet{Flags: wire.IRQDataNone | wire.IRQActionUnmask, Count: 1}, nil)
}

// Reset resets the device.
func (c *Client) Reset() error {
	_, err := c.Do(wire.DeviceReset, nil)
	return err
}

// Payload encodes a set-up payload.
func Payload[T any](v T) []byte {
	b := make([]byte, 64)
	return b[:wire.Put(b, v)]
}

// Access encodes the payload of a region access.
func Access(region uint32, off uint64, count int, data []byte) []byte {
	b := make([]byte, wire.RegionAccessSize, wire.RegionAccessSize+len(data))
	(&wire.RegionAccess{Offset: off, Region: region, Count: uint32(count)}).Put(b)
	return append(b, data...)
}

// Writes encodes the payload of a REGION_WRITE_MULTI to one region: values of
// four bytes at the given offsets.
func Writes(region uint32, at []uint64, val []uint32) []byte {
	b := wire.Order.AppendUint64(nil, uint64(len(at)))
	for i := range at {
		b = append(b, Access(region, at[i], 4, nil)...)
		b = wire.Order.AppendUint32(b, val[i])
		b = append(b, 0, 0, 0, 0)
	}
	return b
}
