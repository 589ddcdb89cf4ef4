package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qcemu/qcemu/guest/boot"
	"github.com/qcemu/qcemu/guest/image"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/share"
)

// TestBoot boots a kernel with stub, device tree, initramfs and share, without a
// device behind them. It runs where the environment names the parts:
//
//	QCEMU_TEST_QEMU     the QEMU command, words separated by blanks
//	QCEMU_TEST_KERNEL   an arm64 Image
//	QCEMU_TEST_MODULES  a folder with *.ko, at any depth
//	QCEMU_TEST_USERLAND an unpacked arm64 Debian tree, optional
func TestBoot(t *testing.T) {
	qemu := strings.Fields(os.Getenv("QCEMU_TEST_QEMU"))
	kernel, modules := os.Getenv("QCEMU_TEST_KERNEL"), os.Getenv("QCEMU_TEST_MODULES")
	if len(qemu) == 0 || kernel == "" || modules == "" {
		t.Skip("QCEMU_TEST_QEMU, _KERNEL and _MODULES are not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()

	machine := append(qemu, "-machine", "virt,memory-backend=mem", "-cpu", "cortex-a57", "-smp", "2", "-m", "512M",
		"-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-nodefaults", "-no-user-config")
	dtb, err := boot.DumpDTB(ctx, machine)
	if err != nil {
		t.Fatal(err)
	}
	m, err := boot.NewMachine(dtb)
	if err != nil {
		t.Fatal(err)
	}
	block := boot.Block{
		Size: 256 << 10, BAM: boot.Region{Offset: 0x4000, Size: 0x24000}, QCE: boot.Region{Offset: 0x3a000, Size: 0x6000},
		BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,sm8150-qce", "qcom,qce"},
		Channels: 16, NumEEs: 4, ControlledRemotely: true, RxPipe: 4, TxPipe: 5,
	}
	image := imageFile(t, ctx, modules)
	raw, err := os.ReadFile(kernel)
	if err != nil {
		t.Fatal(err)
	}
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
	stub, err := m.Stub(raw)
	stubFile := write("stub", stub, err)
	tree, err := m.DTB(block)
	treeFile := write("guest.dtb", tree, err)

	shared := filepath.Join(dir, "share")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(job.Job{
		Driver: job.Stock, Suites: strings.Fields(os.Getenv("QCEMU_TEST_SUITES")), SuiteTimeout: 60,
		ModuleDirs: (&imageSpec{Modules: map[string][]string{job.Stock: nil}}).ModuleDirs(),
	})
	write("share/"+job.FileName, data, err)

	socket := filepath.Join(dir, "share.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var events []job.Event
	server, err := share.New(shared, func(e job.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
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
		"-kernel", stubFile, "-dtb", treeFile, "-initrd", image,
		"-append", "console=ttyAMA0 panic=-1 "+os.Getenv("QCEMU_TEST_APPEND"),
		"-chardev", "socket,id=share,path="+socket,
		"-device", "virtio-serial-device", "-device", "virtserialport,chardev=share,name="+job.PortName,
		"-device", "virtio-rng-device")
	cmd := exec.CommandContext(ctx, machine[0], args...)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	err = cmd.Run()
	t.Logf("console after %v:\n%s", time.Since(start), console.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	if len(types) < 2 || types[0] != job.Booted {
		t.Errorf("events %v: want %s first and a last word", types, job.Booted)
	}
}

// imageSpec keeps the package's name free for the variable above.
type imageSpec = image.Spec

// imageFile builds the initramfs.
func imageFile(t *testing.T, ctx context.Context, modules string) string {
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
	file, err := image.Build(ctx, image.Spec{
		Cache:    cacheDir(t),
		Modules:  map[string][]string{job.Stock: files},
		Userland: os.Getenv("QCEMU_TEST_USERLAND"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// cacheDir keeps what takes long to build, if the environment names a place.
func cacheDir(t *testing.T) string {
	if dir := os.Getenv("QCEMU_TEST_CACHE"); dir != "" {
		return dir
	}
	return t.TempDir()
}
