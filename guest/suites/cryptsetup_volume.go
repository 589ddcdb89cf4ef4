package suites

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/report"
)

// volumeSpec is a LUKS2 volume to try.
type volumeSpec struct {
	cipher  string // as cryptsetup names it
	keyBits int
	names   []string // generic names of the kernel that it may need
}

var volumeSpecs = []volumeSpec{
	{"aes-xts-plain64", 512, []string{"xts(aes)"}},
	{"aes-cbc-essiv:sha256", 256, []string{"essiv(cbc(aes),sha256)", "cbc(aes)"}},
}

const (
	volumeName = "qcemu-volume" // below /dev/mapper
	// iterations of the key derivation: few, as nothing is protected.
	iterations = 1000
)

// volume is one LUKS2 volume on its way through the suite.
type volume struct {
	env  *Env
	ctx  context.Context
	spec volumeSpec
	disk string
	dir  string // for the key file and the mount point

	used usage // who gained users while it was open
}

func (v *volume) mapped() string     { return "/dev/mapper/" + volumeName }
func (v *volume) keyFile() string    { return filepath.Join(v.dir, "key") }
func (v *volume) mountPoint() string { return filepath.Join(v.dir, "mnt") }

// run takes the volume through its life: each step is a case, and none is tried
// after one that failed.
func (v *volume) run() error {
	if err := os.MkdirAll(v.mountPoint(), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(v.keyFile(), pattern(11, 64), 0o600); err != nil {
		return err
	}
	failed := ""
	for _, step := range []struct {
		name string
		f    func(c *report.Case) error
	}{
		{"format", v.format},
		{"write", v.write},
		{"reopen", v.reopen},
		{"encrypted", v.encrypted},
		{"served-by", v.servedBy},
	} {
		c := report.Case{Name: "luks2/" + v.spec.cipher + "/" + step.name}
		if failed != "" || v.ctx.Err() != nil {
			c.Status, c.Reason = report.Skip, "step "+failed+" failed before"
			if failed == "" {
				c.Reason = "the suite's time is over"
			}
			v.env.Report(c)
			continue
		}
		v.env.Case(c, func(c *report.Case) {
			if err := step.f(c); err != nil {
				failf(c, "%v", err)
				failed = step.name
			}
		})
	}
	return nil
}

func (v *volume) format(*report.Case) error {
	_, err := command(v.ctx, v.env, cryptsetupTool, "luksFormat", "--batch-mode", "--type", "luks2",
		"--cipher", v.spec.cipher, "--key-size", strconv.Itoa(v.spec.keyBits), "--hash", "sha256",
		"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", strconv.Itoa(iterations),
		"--key-file", v.keyFile(), v.disk)
	return err
}

func (v *volume) open() error {
	_, err := command(v.ctx, v.env, cryptsetupTool, "open", "--type", "luks2", "--key-file", v.keyFile(), v.disk, volumeName)
	return err
}

func (v *volume) close() error {
	_, err := command(v.ctx, v.env, cryptsetupTool, "close", volumeName)
	return err
}

// mounted opens the volume, mounts its file system and runs f. It leaves
// nothing open, whatever fails.
func (v *volume) mounted(prepare func() error, f func() error) (err error) {
	if err := v.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := prepare(); err != nil {
		return err
	}
	if err := unix.Mount(v.mapped(), v.mountPoint(), "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", v.mapped(), err)
	}
	defer func() {
		if e := unix.Unmount(v.mountPoint(), 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount: %w", e))
		}
	}()
	return f()
}

// volumeFile is one of the files that are written: its name and size give its
// content.
type volumeFile struct {
	name string
	size int
}

func volumeFiles() []volumeFile {
	var files []volumeFile
	for i, size := range []int{0, 1, 511, 512, 4096, 4097, 65536, 100000, 1 << 20, 3 << 20} {
		files = append(files, volumeFile{fmt.Sprintf("file-%02d", i), size})
	}
	return files
}

// volumeMarker begins every file: it must not be found on the disk.
var volumeMarker = []byte("qcemu plain text that must not be on the disk")

func (f volumeFile) content() []byte {
	b := pattern(uint32(f.size)+100, f.size)
	copy(b, volumeMarker)
	return b
}

// write makes a file system on the volume and fills it.
func (v *volume) write(c *report.Case) error {
	before, err := v.env.Kernel.Algorithms()
	if err != nil {
		return err
	}
	var written int
	prepare := func() error {
		now, err := v.env.Kernel.Algorithms()
		if err != nil {
			return err
		}
		v.used = rise(before, now)
		_, err = command(v.ctx, v.env, "mkfs.ext4", "-q", "-F", v.mapped())
		return err
	}
	err = v.mounted(prepare, func() error {
		for _, f := range volumeFiles() {
			if err := writeSynced(filepath.Join(v.mountPoint(), f.name), f.content()); err != nil {
				return err
			}
			written += f.size
		}
		return nil
	})
	c.Metrics = map[string]float64{"bytes": float64(written)}
	return err
}

// reopen opens the volume again and compares every file's checksum.
func (v *volume) reopen(c *report.Case) error {
	var read int
	err := v.mounted(func() error { return nil }, func() error {
		for _, f := range volumeFiles() {
			got, err := os.ReadFile(filepath.Join(v.mountPoint(), f.name))
			if err != nil {
				return err
			}
			if sha256.Sum256(got) != sha256.Sum256(f.content()) {
				return fmt.Errorf("%s came back changed: %s", f.name, difference(got, f.content()))
			}
			read += len(got)
		}
		return nil
	})
	c.Metrics = map[string]float64{"bytes": float64(read)}
	return err
}

// encrypted looks for what was written on the disk itself.
func (v *volume) encrypted(*report.Case) error {
	d, err := os.Open(v.disk)
	if err != nil {
		return err
	}
	defer d.Close()
	found, err := contains(d, volumeMarker)
	if err != nil {
		return err
	}
	if found {
		return errors.New("the disk holds what was written in plain text")
	}
	return nil
}

// servedBy reports which drivers dm-crypt took. It never fails: which they are
// is the kernel's choice.
func (v *volume) servedBy(c *report.Case) error {
	var parts []string
	engine := 0.0
	for _, name := range v.spec.names {
		for _, a := range v.used.of(name) {
			parts = append(parts, a.Driver)
			if _, ok := AlgorithmByDriver(a.Driver); ok {
				engine, c.Algorithm = 1, a.Driver
			}
		}
	}
	c.Metrics = map[string]float64{"engine": engine}
	switch {
	case len(parts) == 0:
		c.Status = report.Skip
		c.Reason = "no driver gained a user in /proc/crypto when the volume was opened, so who serves it is unknown; in use: " +
			strings.Join(v.used.drivers(), ", ")
	case engine == 0:
		c.Detail = "the volume ran on " + strings.Join(parts, " and ") +
			", not on the engine: dm-crypt refuses drivers that allocate memory since 5.10"
	default:
		c.Detail = "the volume ran on the engine: " + strings.Join(parts, " and ")
	}
	return nil
}

func writeSynced(name string, content []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// contains says whether a stream holds the bytes, also across its chunks.
func contains(r io.Reader, want []byte) (bool, error) {
	buf := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		if n > 0 {
			if bytes.Contains(buf[:kept+n], want) {
				return true, nil
			}
			end := kept + n
			kept = min(len(want)-1, end)
			copy(buf, buf[end-kept:end])
		}
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
	}
}
