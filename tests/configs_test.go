package tests

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const configs = "../qemu-configs"

// TestConfigsDescribed: every file has its line in the README.
func TestConfigsDescribed(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(configs, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(configs), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != "README.md" && !bytes.Contains(readme, []byte("| `"+name+"` |")) {
			t.Errorf("README.md has no line for %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestConfigsAgree: the files that repeat the machine that qcemu makes itself
// say the same as qemu-args.
func TestConfigsAgree(t *testing.T) {
	needGuests(t)
	for script, args := range map[string][]string{"basic.sh": nil, "large.sh": {"--memory", "4096", "--cpus", "12"}} {
		_, own := byHand(t, args...)
		if diff := cmp.Diff(options(own), options(strings.Join(scriptArgs(t, script), " "))); diff != "" {
			t.Errorf("%s (-qemu-args +%[1]s):\n%s", script, diff)
		}
	}
}

// TestConfigsLarge: large.sh is basic.sh with more memory and more CPUs.
func TestConfigsLarge(t *testing.T) {
	want := scriptArgs(t, "basic.sh")
	for i, word := range want {
		if want[i] = strings.ReplaceAll(word, "1024M", "4096M"); i > 0 && want[i-1] == "-smp" {
			want[i] = "12"
		}
	}
	if diff := cmp.Diff(want, scriptArgs(t, "large.sh")); diff != "" {
		t.Errorf("large.sh (-want +got):\n%s", diff)
	}
}

// scriptArgs returns the arguments that one of the scripts gives to QEMU.
func scriptArgs(t *testing.T, script string) []string {
	t.Helper()
	cmd := exec.Command(filepath.Join(configs, script), "/guest-files")
	cmd.Env = append(os.Environ(), `QEMU=printf %s\n`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// options counts the words of a command line that are QEMU's and have no path,
// but for those that say what becomes of the guest's end.
func options(line string) map[string]int {
	n := map[string]int{}
	_, line, _ = strings.Cut(line, "-machine") // what is before is QEMU itself
	for f := range strings.FieldsSeq(line) {
		f = strings.Trim(f, `"'\`)
		switch {
		case f == "-no-reboot", strings.ContainsAny(f, "/$"):
		case strings.HasPrefix(f, "-"), strings.Contains(f, "="), strings.Contains(f, "virt"):
			n[f]++
		}
	}
	return n
}

// guestFiles makes a guest with a shell for one of the configurations, and
// starts the backend in the folder.
func guestFiles(t *testing.T, args ...string) string {
	t.Helper()
	dir := socketDir(t)
	out, err := exec.Command(qcemu, append([]string{"guest", "build", "--shell", "--dir", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := &server{}
	s.start(t, exec.Command(qcemu, "serve", "--socket-path", dir+"/block.sock", "--share", dir+"/shared", "--share-socket", dir+"/share.sock"))
	s.ready()
	return dir
}

// TestConfigsBoot boots what can be booted with QEMU alone.
func TestConfigsBoot(t *testing.T) {
	needGuests(t)
	qemu, _ := wrapped(t, "")
	abs, err := filepath.Abs(configs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		guest []string
		cmd   func(dir string) *exec.Cmd
	}{
		{"basic.sh", nil, func(dir string) *exec.Cmd { return exec.Command(abs+"/basic.sh", dir) }},
		{"large.sh", []string{"--memory", "4096", "--cpus", "12"}, func(dir string) *exec.Cmd { return exec.Command(abs+"/large.sh", dir) }},
		{"virt.cfg", nil, func(dir string) *exec.Cmd {
			cmd := exec.Command(qemu, "-readconfig", abs+"/virt.cfg", "-cpu", "cortex-a72", "-display", "none", "-nodefaults", "-serial", "mon:stdio",
				"-device", `{"driver":"vfio-user-pci","socket":{"type":"unix","path":"block.sock"},"addr":"4.0"}`)
			cmd.Dir = dir
			return cmd
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := guestFiles(t, c.guest...)
			cmd := c.cmd(dir)
			cmd.Env = append(os.Environ(), "QEMU="+qemu)
			g := open(t, cmd)
			g.shell()
			g.probed()
			g.exit()
		})
	}
}

// TestConfigLibvirt: the domain is well-formed XML whose device is the one that
// everything else says; libvirt's own checker has a look if it is there.
func TestConfigLibvirt(t *testing.T) {
	file := filepath.Join(configs, "libvirt.xml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var domain struct {
		XMLName xml.Name `xml:"domain"`
		Memory  struct {
			Source struct {
				Type string `xml:"type,attr"`
			} `xml:"source"`
			Access struct {
				Mode string `xml:"mode,attr"`
			} `xml:"access"`
		} `xml:"memoryBacking"`
		Args []struct {
			Value string `xml:"value,attr"`
		} `xml:"http://libvirt.org/schemas/domain/qemu/1.0 commandline>arg"`
	}
	if err := xml.Unmarshal(data, &domain); err != nil {
		t.Fatal(err)
	}
	if domain.Memory.Source.Type != "memfd" || domain.Memory.Access.Mode != "shared" {
		t.Errorf("memory: %+v", domain.Memory)
	}
	if len(domain.Args) != 2 || domain.Args[0].Value != "-device" {
		t.Fatalf("qemu:commandline: %+v", domain.Args)
	}
	var device struct{ Driver, Bus, Addr string }
	if err := json.Unmarshal([]byte(domain.Args[1].Value), &device); err != nil {
		t.Fatal(err)
	}
	if device.Driver != "vfio-user-pci" || device.Bus != "pcie.0" || device.Addr != "4.0" {
		t.Errorf("device: %+v", device)
	}
	t.Run("schema", func(t *testing.T) {
		tool, err := exec.LookPath("virt-xml-validate")
		if err != nil {
			t.Skip("no virt-xml-validate (package libvirt-clients): the schema is not checked")
		}
		if _, err := exec.LookPath("xmllint"); err != nil {
			t.Skip("no xmllint (package libxml2-utils), which virt-xml-validate calls: the schema is not checked")
		}
		if out, err := exec.Command(tool, file, "domain").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// libvirtOptions lets libvirt run QEMU as the test's own user, without the
// daemons that it has beside.
const libvirtOptions = `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
`

// withoutACPI drops an option that libvirt 9 gives and QEMU 11 has no more.
const withoutACPI = `for arg; do
	shift
	[ "$arg" = -no-acpi ] || set -- "$@" "$arg"
done`

// TestConfigLibvirtBoot boots the domain: libvirt's driver for QEMU, in a process
// and a folder of its own, makes the machine of the file, whose paths alone are
// changed. The guest runs the suite probe and switches itself off.
func TestConfigLibvirtBoot(t *testing.T) {
	tool, err := exec.LookPath("virt-qemu-run")
	if err != nil {
		t.Skip("no virt-qemu-run (package libvirt-daemon-driver-qemu or libvirt-daemon-system): the domain is not booted")
	}
	needGuests(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can have libvirt's driver to himself")
	}
	dir := socketDir(t)
	if out, err := exec.Command(qcemu, "guest", "build", "--suite", "probe", "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := &server{out: filepath.Join(t.TempDir(), "out")}
	s.start(t, exec.Command(qcemu, "serve", "--socket-path", dir+"/block.sock", "--share", dir+"/shared", "--share-socket", dir+"/share.sock", "--out", s.out))
	s.ready()

	data, err := os.ReadFile(filepath.Join(configs, "libvirt.xml"))
	if err != nil {
		t.Fatal(err)
	}
	qemu, pidFile := wrapped(t, withoutACPI)
	domain, root := filepath.Join(dir, "domain.xml"), filepath.Join(dir, "libvirt")
	write(t, domain, []byte(strings.NewReplacer("/srv/qcemu", dir, "/usr/bin/qemu-system-aarch64", qemu).Replace(string(data))))
	write(t, filepath.Join(root, "etc", "qemu.conf"), []byte(libvirtOptions))
	var words transcript
	cmd := exec.Command(tool, "--root="+root, domain)
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What runs the guest does not always see that it has ended.
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(root, "log", "qemu", "qcemu.log"))
			t.Logf("libvirt:\n%s\n%s", words.String(), log)
		}
	})
	for end := time.Now().Add(bootPatience); !strings.Contains(s.stderr.String(), "client disconnected"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the guest does not end")
		}
	}
	n := pid(t, pidFile)
	eventually(t, "QEMU is gone", func() bool { return !running(n) })
	s.stop()
	done := map[string]bool{}
	for _, row := range s.attestation() {
		done[row.Algorithm] = true
	}
	if !done["sha256"] || !done["ctr-aes"] {
		t.Errorf("the engine did %v: the suite probe has it do ctr-aes and sha256 at least", done)
	}
}

// TestConfigSystemd lets systemd read the units.
func TestConfigSystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze: the units are not checked")
	}
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"qcemu.socket", "qcemu.service"} {
		data, err := os.ReadFile(filepath.Join(configs, "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.ReplaceAll(data, []byte("/usr/local/bin/qcemu"), []byte(qcemu)) // else it is missed
		files = append(files, filepath.Join(dir, name))
		write(t, files[len(files)-1], data)
	}
	out, err := exec.Command(tool, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestConfigVirtmeNG lets virtme-ng put its command together.
func TestConfigVirtmeNG(t *testing.T) {
	if _, err := exec.LookPath("vng"); err != nil {
		t.Skip("no vng (package virtme-ng): its recipe is not tried")
	}
	needGuests(t)
	qemu, _ := wrapped(t, "")
	dir := guestFiles(t)
	cmd := exec.Command(filepath.Join(configs, "virtme-ng.sh"), dir, t.TempDir(), "--dry-run")
	cmd.Env = append(os.Environ(), "QEMU="+qemu)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"-kernel " + dir + "/kernel", "-dtb " + dir + "/guest.dtb", "share=on", "memory-backend=mem",
		`'{"driver":"vfio-user-pci","socket":{"type":"unix","path":"` + dir + `/block.sock"},"addr":"4.0"}'`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the command has no %s:\n%s", want, out)
		}
	}
}

// envRoot names a folder with an arm64 user space, for virtme-ng.
const envRoot = "QCEMU_ARM64_ROOT"

// TestConfigVirtmeNGBoot boots the recipe to virtme-ng's shell and loads the
// drivers there. The guest's own small kernel will do, though virtme-ng misses
// overlays and udev in it; the drivers' modules come by a folder of the host.
func TestConfigVirtmeNGBoot(t *testing.T) {
	for _, tool := range []string{"vng", "script"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s (packages virtme-ng, bsdutils): the recipe is not booted", tool)
		}
	}
	root := os.Getenv(envRoot)
	if root == "" {
		t.Skipf("%s names no arm64 root folder (mmdebstrap --arch=arm64 --include=kmod,udev trixie FOLDER makes one): the recipe is not booted", envRoot)
	}
	needGuests(t)
	qemu, _ := wrapped(t, "")
	dir := guestFiles(t)
	abs, err := filepath.Abs(configs)
	if err != nil {
		t.Fatal(err)
	}
	line := abs + "/virtme-ng.sh " + dir + " " + root + " --rodir /mnt=" + guestShow(t).modules["series"]
	cmd := exec.Command("script", "-qfec", line, "/dev/null") // vng wants a terminal
	cmd.Env = append(os.Environ(), "QEMU="+qemu)
	g := open(t, cmd)
	g.expect("root@virtme-ng:/# ")
	g.run("for m in virt_dma bam_dma crypto_engine qcrypto; do insmod /mnt/$m.ko; done")
	g.probed()
	g.enter("sync; echo o >/proc/sysrq-trigger")
	select {
	case <-g.ended:
	case <-time.After(2 * patience):
		t.Errorf("the guest has not switched itself off after %v", 2*patience)
	}
}

// TestConfigScripts: a shell can read them.
func TestConfigScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(configs, "*.sh"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%v, %v", scripts, err)
	}
	for _, name := range scripts {
		if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err := exec.Command(name).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !bytes.Contains(out, []byte("usage: "+filepath.Base(name)+" FOLDER")) {
			t.Errorf("%s without arguments: %v\n%s", name, err, out)
		}
	}
}
