package vm

import (
	"fmt"
	"strings"

	"github.com/qcemu/qcemu/guest/job"
)

// slot is the PCI slot of the device that carries the crypto block; the boot
// stub programs its BAR (see docs/boot.md).
const slot = 4

// diskSerial is the serial number of the virtio disk, by which the guest finds it.
const diskSerial = "qcemu-disk"

// Config is the machine.
type Config struct {
	MemoryMiB int    // guest memory, shared with the backend
	CPUs      int    // virtual CPUs
	CPU       string // QEMU's CPU model

	BlockSocket string // vfio-user socket of the crypto block; "" leaves the device out
	ShareSocket string // socket on which the host serves the shared folder; "" leaves the port out
	Disk        string // raw image for a virtio disk; "" leaves it out

	// Virtio-crypto devices: one behind a vhost-user socket, with so many data
	// queues, and one on QEMU's built-in back-end.
	CryptoSocket  string
	CryptoQueues  int
	CryptoBuiltin bool

	Kernel string // boot stub and Image in one file
	DTB    string
	Initrd string
	Append string // kernel command line

	Monitor string   // QMP socket; "" for none
	Extra   []string // further arguments, put last
}

// Default sizes of the machine.
const (
	DefaultMemoryMiB = 1024
	DefaultCPUs      = 2
	DefaultCPU       = "cortex-a72"
)

// MachineArgs returns the arguments that shape the device tree: machine, CPU
// and memory. QEMU dumps its own DTB for these.
func (c *Config) MachineArgs() []string {
	return []string{
		"-machine", "virt,memory-backend=mem",
		"-cpu", c.CPU,
		"-smp", fmt.Sprint(c.CPUs),
		"-m", fmt.Sprintf("%dM", c.MemoryMiB),
		"-object", fmt.Sprintf("memory-backend-memfd,id=mem,size=%dM,share=on", c.MemoryMiB),
	}
}

// Args returns QEMU's whole argument list, without the console's place.
func (c *Config) Args() []string {
	args := append(c.MachineArgs(),
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", c.Kernel,
		"-dtb", c.DTB,
		"-initrd", c.Initrd,
		"-append", c.Append,
	)
	if c.BlockSocket != "" {
		args = append(args, "-device", fmt.Sprintf(`{"driver":"vfio-user-pci","socket":{"type":"unix","path":%q},"addr":"%d.0"}`, c.BlockSocket, slot))
	}
	if c.ShareSocket != "" {
		args = append(args,
			"-device", "virtio-serial-device",
			"-chardev", "socket,id=share,path="+escape(c.ShareSocket),
			"-device", "virtserialport,chardev=share,name="+job.PortName)
	}
	if c.Disk != "" {
		args = append(args,
			"-drive", "if=none,id=disk,format=raw,cache=unsafe,file="+escape(c.Disk),
			"-device", "virtio-blk-device,drive=disk,serial="+diskSerial)
	}
	args = append(args, c.crypto()...)
	args = append(args, "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-device,rng=rng")
	if c.Monitor != "" {
		args = append(args, "-qmp", "unix:"+escape(c.Monitor)+",server=on,wait=off")
	}
	return append(args, c.Extra...)
}

// crypto are the virtio-crypto devices. They have no legacy form, which QEMU's
// virtio-mmio takes unless it is told not to.
func (c *Config) crypto() (args []string) {
	if c.CryptoSocket == "" && !c.CryptoBuiltin {
		return nil
	}
	args = []string{"-global", "virtio-mmio.force-legacy=false"}
	if c.CryptoSocket != "" {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=crypto,path=%s,reconnect-ms=500", escape(c.CryptoSocket)),
			"-object", fmt.Sprintf("cryptodev-vhost-user,id=engine,chardev=crypto,queues=%d", max(c.CryptoQueues, 1)),
			"-device", "virtio-crypto-device,cryptodev=engine")
	}
	if c.CryptoBuiltin {
		args = append(args,
			"-object", "cryptodev-backend-builtin,id=builtin",
			"-device", "virtio-crypto-device,cryptodev=builtin")
	}
	return args
}

// escape doubles commas, which separate QEMU's options.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// ShellLine renders a command for a person to copy, one option to a line.
func ShellLine(argv []string) string {
	var b strings.Builder
	for i, a := range argv {
		switch {
		case i == 0:
		case strings.HasPrefix(a, "-") && len(a) > 1:
			b.WriteString(" \\\n    ")
		default:
			b.WriteByte(' ')
		}
		b.WriteString(quote(a))
	}
	return b.String()
}

// quote makes a word safe for a POSIX shell.
func quote(s string) string {
	plain := s != ""
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%", r) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
