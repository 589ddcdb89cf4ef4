package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
)

// portWait is how long the virtio-serial port may take to appear.
const portWait = time.Minute

// mountShare mounts the host's folder through the virtio-serial port.
func mountShare() error {
	port, err := findPort()
	if err != nil {
		return err
	}
	dev, err := os.OpenFile(port, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the host's folder: %w", err)
	}
	// v9fs wants a file with read_iter, which a port does not have.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("the host's folder: %w", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "share bridge")
	bridge(dev, ours)

	if err := os.MkdirAll(job.MountPoint, 0o755); err != nil {
		return err
	}
	data := fmt.Sprintf("trans=fd,rfdno=%d,wfdno=%d,version=9p2000.L,msize=%d,access=any,cache=none",
		pair[1], pair[1], 128<<10)
	if err := unix.Mount("host", job.MountPoint, "9p", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return fmt.Errorf("mounting the host's folder: %w (does the kernel have CONFIG_9P_FS and CONFIG_NET_9P_FD?)", err)
	}
	return unix.Close(pair[1]) // the mount keeps the file
}

// findPort looks for the port by its name.
func findPort() (string, error) {
	for end := time.Now().Add(portWait); ; time.Sleep(20 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range names {
			name, err := os.ReadFile(file)
			if err == nil && strings.TrimSpace(string(name)) == job.PortName {
				return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
			}
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("no virtio-serial port named %s: QEMU needs a virtserialport of that name, the kernel CONFIG_VIRTIO_CONSOLE and CONFIG_VIRTIO_MMIO", job.PortName)
		}
	}
}

// bridge carries bytes between the port and our end of the socket pair.
func bridge(port, ours *os.File) {
	go func() {
		_, err := io.Copy(plainWriter{port}, plainReader{ours})
		say("the host's folder: to the host: %v", err)
	}()
	go func() {
		buf := make([]byte, 128<<10)
		for {
			n, err := port.Read(buf)
			if n == 0 && errors.Is(err, io.EOF) {
				time.Sleep(50 * time.Millisecond) // nobody at the host's end just now
				continue
			}
			if err == nil {
				_, err = ours.Write(buf[:n])
			}
			if err != nil {
				say("the host's folder: from the host: %v", err)
				ours.Close() // ends the mount's waits with an error
				return
			}
		}
	}()
}

// plainReader and plainWriter keep io.Copy from splicing, which a port cannot.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

// eventWriter writes events to the control file.
type eventWriter struct {
	mu   sync.Mutex
	file *os.File
}

func openEvents() (*eventWriter, error) {
	f, err := os.OpenFile(filepath.Join(job.MountPoint, job.ControlName), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &eventWriter{file: f}, nil
}

// write returns when the host has taken note of the event.
func (w *eventWriter) write(e job.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.file.Write(append(line, '\n'))
	return err
}
