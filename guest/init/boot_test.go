package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qcemu/qcemu/guest/boot"
	"github.com/qcemu/qcemu/guest/image"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/share"
)

// The tests in this file boot a kernel with stub, device tree, initramfs and
// share, without a device behind them. They run where the environment names the
// parts:
//
//	QCEMU_TEST_QEMU     the QEMU command, words separated by blanks
//	QCEMU_TEST_KERNEL   an arm64 Image
//	QCEMU_TEST_MODULES  a folder with *.ko, at any depth
//	QCEMU_TEST_DRIVER   whose modules they are, stock (the default) or series
//	QCEMU_TEST_USERLAND an unpacked arm64 Debian tree, optional
//	QCEMU_TEST_CACHE    a folder to keep what takes long to build, optional
//	QCEMU_TEST_SUITES   suites to run, optional
//	QCEMU_TEST_BLOCK    the socket of a running qcemu serve --soc sm8250, optional

func TestBoot(t *testing.T) {
	g := bootGuest(t, job.Job{Suites: strings.Fields(os.Getenv("QCEMU_TEST_SUITES")), SuiteTimeout: 60}, nil)
	if len(g.events) < 2 || g.events[0].Type != job.Booted || g.events[len(g.events)-1].Type != job.Finished {
		t.Errorf("events %v: want %s first and %s last", g.events, job.Booted, job.Finished)
	}
}

func TestShell(t *testing.T) {
	g := bootGuest(t, job.Job{Shell: true}, []string{
		"cat /host/job.json | grep -c shell > /host/from-guest",
		"modprobe -r qcrypto bam_dma && modprobe qcrypto && modprobe bam_dma && uname -r >> /host/from-guest",
		"exit",
	})
	got, err := os.ReadFile(filepath.Join(g.shared, "from-guest"))
	if err != nil || !strings.HasPrefix(string(got), "1\n") || strings.Count(string(got), "\n") != 2 {
		t.Errorf("the guest's file holds %q (%v): want 1 and the kernel's release", got, err)
	}
}

// TestFailure boots with a job that cannot be done.
func TestFailure(t *testing.T) {
	g := bootGuest(t, job.Job{Driver: "fantasy"}, nil)
	if len(g.events) != 1 || g.events[0].Type != job.Failed || !strings.Contains(g.events[0].Text, "fantasy") {
		t.Errorf("events %v: want one of type %s that names the driver", g.events, job.Failed)
	}
	if !strings.Contains(g.console, "qcemu: failed: ") {
		t.Error("the console does not say that it failed")
	}
}

// booted is what a guest has left behind.
type booted struct {
	events  []job.Event
	console string
	shared  string
}

// bootGuest boots one guest to its power-off. typed are lines for its shell.
func bootGuest(t *testing.T, j job.Job, typed []string) booted {
	qemu := strings.Fields(os.Getenv("QCEMU_TEST_QEMU"))
	kernel, modules := os.Getenv("QCEMU_TEST_KERNEL"), os.Getenv("QCEMU_TEST_MODULES")
	if len(qemu) == 0 || kernel == "" || modules == "" {
		t.Skip("QCEMU_TEST_QEMU, _KERNEL and _MODULES are not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	write := func(name string, data []byte, err error) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}

	machine := append(qemu, "-machine", "virt,memory-backend=mem", "-cpu", "cortex-a57", "-smp", "2", "-m", "512M",
		"-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-nodefaults", "-no-user-config")
	dump, err := boot.DumpDTB(ctx, machine)
	if err != nil {
		t.Fatal(err)
	}
	m, err := boot.NewMachine(dump)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(kernel)
	if err != nil {
		t.Fatal(err)
	}
	stub, err := m.Stub(raw)
	stubFile := write("stub", stub, err)
	tree, err := m.DTB(boot.Block{
		Size: 256 << 10, BAM: boot.Region{Offset: 0x4000, Size: 0x24000}, QCE: boot.Region{Offset: 0x3a000, Size: 0x6000},
		BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,sm8150-qce", "qcom,qce"},
		Channels: 16, NumEEs: 4, ControlledRemotely: true, RxPipe: 4, TxPipe: 5,
	})
	treeFile := write("guest.dtb", tree, err)
	spec, initramfs := imageFile(t, ctx, modules)

	shared := filepath.Join(dir, "share")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if j.Driver == "" {
		j.Driver = testDriver()
	}
	j.ModuleDirs = spec.ModuleDirs()
	data, err := json.Marshal(j)
	write("share/"+job.FileName, data, err)

	socket := filepath.Join(dir, "share.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := booted{shared: shared}
	server, err := share.New(shared, func(e job.Event) {
		g.events = append(g.events, e)
		line, _ := json.Marshal(e)
		t.Logf("event %s", line)
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = server.Serve(ctx, conn)
		}
		served <- err
	}()

	start := time.Now()
	args := append(machine[1:],
		"-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", stubFile, "-dtb", treeFile, "-initrd", initramfs,
		"-append", "console=ttyAMA0 panic=-1 "+os.Getenv("QCEMU_TEST_APPEND"),
		"-chardev", "socket,id=share,path="+socket,
		"-device", "virtio-serial-device", "-device", "virtserialport,chardev=share,name="+job.PortName,
		"-device", "virtio-rng-device")
	if block := os.Getenv("QCEMU_TEST_BLOCK"); block != "" {
		args = append(args, "-device", fmt.Sprintf(`{"driver":"vfio-user-pci","socket":{"type":"unix","path":%q},"addr":"%d.0"}`, block, boot.Slot))
	}
	cmd := exec.CommandContext(ctx, machine[0], args...)
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := console{prompt: []byte("exit powers off"), typed: typed, keyboard: keyboard}
	cmd.Stdout, cmd.Stderr = &c, &c
	err = cmd.Run()
	g.console = c.text.String()
	t.Logf("console after %v:\n%s", time.Since(start), g.console)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	return g
}

// console keeps what the guest prints, and types when it sees the prompt.
type console struct {
	text     bytes.Buffer
	prompt   []byte
	typed    []string
	keyboard io.Writer
}

func (c *console) Write(p []byte) (int, error) {
	c.text.Write(p)
	if len(c.typed) > 0 && bytes.Contains(c.text.Bytes(), c.prompt) {
		io.WriteString(c.keyboard, strings.Join(c.typed, "\n")+"\n")
		c.typed = nil
	}
	return len(p), nil
}

// imageFile builds the initramfs.
func imageFile(t *testing.T, ctx context.Context, modules string) (image.Spec, string) {
	var files []string
	err := filepath.WalkDir(modules, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".ko") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := image.Spec{
		Cache:    cacheDir(t),
		Modules:  map[string][]string{testDriver(): files},
		Userland: os.Getenv("QCEMU_TEST_USERLAND"),
	}
	file, err := image.Build(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return spec, file
}

func testDriver() string {
	return cmp.Or(os.Getenv("QCEMU_TEST_DRIVER"), job.Stock)
}

// cacheDir keeps what takes long to build, if the environment names a place.
func cacheDir(t *testing.T) string {
	if dir := os.Getenv("QCEMU_TEST_CACHE"); dir != "" {
		return dir
	}
	return t.TempDir()
}
