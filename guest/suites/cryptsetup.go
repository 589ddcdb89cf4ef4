package suites

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/qcemu/qcemu/report"
)

// cryptsetup runs what users of disk encryption run, and says which driver did
// the work. The benchmark reaches the engine through AF_ALG; an opened volume
// does not: dm-crypt refuses drivers that allocate memory since 5.10.
type cryptsetup struct{}

func (cryptsetup) Name() string { return "cryptsetup" }
func (cryptsetup) About() string {
	return "cryptsetup: its benchmark on the engine, and a LUKS2 volume with a file system, with who did the work"
}
func (cryptsetup) Boot() Boot { return BootNoTests }

const (
	cryptsetupTool = "cryptsetup"
	// diskSerial is the serial number of the virtio disk that the host gives to
	// the guest for this suite.
	diskSerial = "qcemu-disk"
	// commandTimeout is for one run of a tool.
	commandTimeout = 3 * time.Minute
)

// noUdev makes libdevmapper create its device nodes by itself: there is no udev
// in the guest to wait for.
var noUdev = []string{"DM_DISABLE_UDEV=1"}

// benchmarks are what cryptsetup measures, with the name under which it asks
// the kernel. Its key size of XTS counts both halves.
var benchmarks = []struct {
	cipher, name string
	keyBits      int
}{
	{"aes-cbc", "cbc(aes)", 128},
	{"aes-cbc", "cbc(aes)", 256},
	{"aes-xts", "xts(aes)", 256},
	{"aes-xts", "xts(aes)", 512},
}

// Run runs the suite.
func (s cryptsetup) Run(ctx context.Context, env *Env) error {
	version, err := ParseVersion(env.Kernel.Release())
	if err != nil {
		return err
	}
	if err := os.MkdirAll("/run/cryptsetup", 0o700); err != nil { // its lock files
		return err
	}
	for _, b := range benchmarks {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := report.Case{Name: fmt.Sprintf("benchmark/%s/%d", b.cipher, b.keyBits)}
		env.Case(c, func(c *report.Case) { benchmark(ctx, env, c, version, b.cipher, b.name, b.keyBits) })
	}
	disk, err := findDisk(env.Kernel)
	if err != nil {
		env.Report(report.Case{Name: "disk", Status: report.Fail, Detail: err.Error()})
		return nil
	}
	dir, err := os.MkdirTemp("", "cryptsetup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, spec := range volumeSpecs {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := &volume{env: env, ctx: ctx, spec: spec, disk: disk, dir: dir}
		if err := v.run(); err != nil {
			return err
		}
	}
	return nil
}

// command runs a tool and returns its output; a tool that fails is an error.
func command(ctx context.Context, env *Env, args ...string) (string, error) {
	res, err := env.Exec(ctx, Command{Args: args, Env: noUdev, Timeout: commandTimeout})
	switch {
	case err != nil:
		return "", err
	case res.TimedOut:
		return "", fmt.Errorf("%s did not end in %v", strings.Join(args[:2], " "), commandTimeout)
	case res.Code != 0:
		return "", fmt.Errorf("%s exited with %d: %s", strings.Join(args[:2], " "), res.Code,
			strings.TrimSpace(string(res.Stderr)+string(res.Stdout)))
	}
	return string(res.Stdout), nil
}

// benchmark runs cryptsetup's benchmark for one cipher and judges who did it.
func benchmark(ctx context.Context, env *Env, c *report.Case, v Version, cipher, name string, keyBits int) {
	var out string
	var err error
	used, watchErr := watch(ctx, env.Kernel, func() {
		out, err = command(ctx, env, cryptsetupTool, "benchmark", "--cipher", cipher, "--key-size", strconv.Itoa(keyBits))
	})
	if err == nil {
		err = watchErr
	}
	if err != nil {
		failf(c, "%v", err)
		return
	}
	rows, err := parseBenchmark(out)
	if err != nil {
		failf(c, "%v", err)
		return
	}
	if len(rows) != 1 || rows[0].Cipher != cipher || rows[0].KeyBits != keyBits || rows[0].Encrypt == 0 || rows[0].Decrypt == 0 {
		failf(c, "cryptsetup printed no figures for %s with a key of %d bits: %s", cipher, keyBits, out)
		return
	}
	c.Metrics = map[string]float64{
		"encrypt_bytes_per_second": rows[0].Encrypt,
		"decrypt_bytes_per_second": rows[0].Decrypt,
	}
	registered, err := env.Kernel.Algorithms()
	if err != nil {
		failf(c, "%v", err)
		return
	}
	judgeBenchmark(c, used.of(name), registered, v, name)
}

// judgeBenchmark compares who gained users with who should have served: users
// are those that /proc/crypto showed for the generic name, the preferred first.
func judgeBenchmark(c *report.Case, users, registered []Algorithm, v Version, name string) {
	var served string
	if len(users) > 0 {
		served = users[0].Driver
		c.Detail = "served by " + served
		for _, u := range users[1:] {
			c.Detail += ", with " + u.Driver + " as its software fallback"
		}
	}
	engine := engineDriver(registered, name)
	c.Algorithm = engine
	switch {
	case served != "" && served == engine:
	case engine == "":
		failf(c, "the engine's driver has not registered %s; %s", name, orNobody(c.Detail))
	case v.Compare(afAlgMasked) >= 0:
		c.Status = report.Skip
		c.Reason = fmt.Sprintf("AF_ALG of kernel %v masks the engine's driver (since %v): not measured on the engine", v, afAlgMasked)
	default:
		failf(c, "the engine did not serve it: %s", orNobody(c.Detail))
	}
}

func orNobody(detail string) string {
	if detail == "" {
		return "no driver was seen in use"
	}
	return detail
}

// engineDriver returns the engine's driver name for a generic one, if it is
// registered.
func engineDriver(registered []Algorithm, name string) string {
	for _, a := range engineAlgorithms {
		if a.Name == name {
			if _, ok := byDriver(registered, a.Driver); ok {
				return a.Driver
			}
		}
	}
	return ""
}

// findDisk returns the device of the disk that is there to be overwritten: the
// one with our serial number, never another.
func findDisk(k Kernel) (string, error) {
	serials, err := k.Glob("/sys/block/vd*/serial")
	if err != nil {
		return "", err
	}
	for _, file := range serials {
		if data, err := k.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == diskSerial {
			return filepath.Join("/dev", path.Base(path.Dir(file))), nil
		}
	}
	return "", fmt.Errorf("no virtio disk with the serial number %q", diskSerial)
}
