package tests

import (
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/report"
)

// required is what the engine must have done at least for each algorithm of the
// driver over all suites: well below what is measured, well above what a
// software fallback in its place would leave.
var required = map[string]string{
	"authenc-hmac-sha256-cbc-aes": "500",
	"cbc-aes":                     "1000",
	"ccm-aes":                     "3000",
	"ctr-aes":                     "1000",
	"hmac-sha256":                 "800",
	"sha256":                      "1000",
	"xts-aes":                     "60",
}

// mainSuites are the suites that stand for the driver's work.
const mainSuites = "probe,selftest,tcrypt,kcapi,cryptsetup"

// TestGuestSuites runs every suite with both drivers. The series must have set
// up every request by commands and under the lock.
func TestGuestSuites(t *testing.T) {
	needGuests(t)
	for _, c := range []struct{ driver, how string }{{"series", ",locked,commands"}, {"stock", ""}} {
		t.Run(c.driver, func(t *testing.T) {
			args := []string{"--driver", c.driver, "--suite", mainSuites}
			for alg, n := range required {
				args = append(args, "--require", alg+"="+n+c.how)
			}
			b := startRun(t, args...)
			if code := b.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			r := b.report()
			if r.Failed() || r.Driver != c.driver || r.SoC != cryptoblock.DefaultSoC {
				t.Errorf("report: failed %v, driver %s, SoC %s, problems %q", r.Failed(), r.Driver, r.SoC, r.Problems)
			}
			for _, name := range strings.Split(mainSuites, ",") {
				if s := suite(t, r, name); !s.Ended || len(s.Cases) == 0 {
					t.Errorf("suite %s: ended %v, %d cases", name, s.Ended, len(s.Cases))
				}
			}
			for _, row := range r.Attestation {
				byCommand := row.Requests == row.ByCommand && row.Requests == row.Locked
				byCPU := row.Requests == row.ByCPU && row.Locked == 0
				if c.driver == "series" && !byCommand || c.driver == "stock" && !byCPU {
					t.Errorf("attestation: %+v", row)
				}
			}
			checkReports(t, b)
			if words := b.stdout.String(); !strings.Contains(words, "Result: passed") {
				t.Errorf("the table does not end with the result")
			}
		})
	}
}

// checkReports looks at the files that tools read.
func checkReports(t *testing.T, b *bench) {
	t.Helper()
	for _, name := range []string{report.JSONFile, report.AttestationFile, report.FindingsFile} {
		var v any
		readJSON(t, filepath.Join(b.out, name), &v)
	}
	ktap, err := os.ReadFile(filepath.Join(b.out, report.KTAPFile))
	if err != nil || !strings.HasPrefix(string(ktap), "KTAP version 1\n1..") {
		t.Errorf("%s: %v, %.40q", report.KTAPFile, err, ktap)
	}
	f, err := os.Open(filepath.Join(b.out, report.JUnitFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Errorf("%s: %v", report.JUnitFile, err)
			break
		}
	}
}

// TestGuestSoCs boots on every chip but the default one: other layouts, offsets,
// execution environments, with and without a clock. One of each kind of
// execution environment goes through the self-tests.
func TestGuestSoCs(t *testing.T) {
	needGuests(t)
	selftest := []string{"ipq4019"}
	for i, soc := range cryptoblock.Profiles() {
		if soc == cryptoblock.DefaultSoC {
			continue
		}
		t.Run(soc, func(t *testing.T) {
			driver, suites := []string{"series", "stock"}[i%2], "probe"
			if slices.Contains(selftest, soc) {
				driver, suites = "series", "probe,selftest"
			}
			b := startRun(t, "--soc", soc, "--driver", driver, "--suite", suites, "--require", "sha256=1")
			if code := b.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			p, err := cryptoblock.ProfileByName(soc)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range b.report().Attestation {
				if row.EE != p.EE {
					t.Errorf("%s: requests of EE %d, Linux is EE %d", row.Algorithm, row.EE, p.EE)
				}
			}
		})
	}
}

// TestGuestTree gives qcemu a tree that is built and has a series of its own
// applied, as its owner has it. It is used as it is, and not written to.
func TestGuestTree(t *testing.T) {
	needGuests(t)
	tree := builtTree(t)
	before := listing(t, tree)
	b := startRun(t, "--linux", tree, "--suite", "probe", "--require", "sha256=1,locked,commands")
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !slices.Equal(before, listing(t, tree)) {
		t.Error("the tree was written to")
	}
	// It has no other driver, and says so.
	b = startRun(t, "--linux", tree, "--suite", "probe", "--driver", "stock")
	if code := b.wait(); code != 2 || !strings.Contains(b.stderr.String(), `has no driver "stock"`) {
		t.Errorf("--driver stock: exit code %d", code)
	}
}

// builtTree puts together what a build leaves in a tree, as far as it matters:
// the kernel in the cache with the series' modules, and the drivers' sources.
func builtTree(t *testing.T) string {
	t.Helper()
	g := guestShow(t)
	stock := filepath.Join(filepath.Dir(filepath.Dir(g.image)), "tree")
	tree := filepath.Join(t.TempDir(), "linux")
	files := []string{
		"Makefile", "Kconfig", ".config", "modules.order", "modules.builtin", "System.map", "arch/arm64/Kconfig", "arch/arm64/boot/Image",
		"include/config/kernel.release", "drivers/crypto/qce/core.c", "drivers/crypto/qce/dma.c", "drivers/dma/qcom/bam_dma.c",
	}
	order, err := os.ReadFile(filepath.Join(stock, "modules.order"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(order)) {
		files = append(files, strings.TrimSuffix(strings.TrimSpace(line), ".o")+".ko")
	}
	for _, name := range files {
		from := filepath.Join(stock, name)
		if own := filepath.Join(g.modules["series"], filepath.Base(name)); strings.HasSuffix(name, ".ko") {
			if _, err := os.Stat(own); err == nil {
				from = own
			}
		}
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if name == "drivers/dma/qcom/bam_dma.c" {
			data = append(data, "/* BAM_LOCK */\n"...)
		}
		write(t, filepath.Join(tree, name), data)
	}
	return tree
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// listing is what is in a folder, with sizes and times.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		list = append(list, path+" "+fi.ModTime().String()+" "+fi.Mode().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// copySeries puts the project's own series into a folder.
func copySeries(t *testing.T, dir string) {
	t.Helper()
	patches, err := filepath.Glob("../guest/kernel/series/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("the project's series: %v, %v", patches, err)
	}
	for _, name := range patches {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, filepath.Base(name)), data)
	}
}

// TestGuestSeries gives qcemu a folder of patches, with a cover letter among
// them as b4 leaves it.
func TestGuestSeries(t *testing.T) {
	needGuests(t)
	dir := filepath.Join(t.TempDir(), "v16")
	copySeries(t, dir)
	write(t, filepath.Join(dir, "0000-cover-letter.patch"), []byte("Subject: [PATCH v16 00/12] A cover letter\n\nNo diff.\n"))
	b := startRun(t, "--series", dir, "--suite", "probe", "--require", "sha256=1,locked,commands")
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestGuestRequirement: a run whose engine did too little fails, and says so.
func TestGuestRequirement(t *testing.T) {
	needGuests(t)
	b := startRun(t, "--suite", "probe", "--require", "xts-aes=1000000")
	if code := b.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if r := b.report(); !r.Failed() || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "1000000 are required") {
		t.Errorf("problems: %q", r.Problems)
	}
	if !strings.Contains(b.stdout.String(), "Result: FAILED") {
		t.Error("the table does not end with the result")
	}
}

// TestGuestAgain: what was made once is not made again. The second run neither
// reports a step of that kind nor has a network to fetch anything by.
func TestGuestAgain(t *testing.T) {
	needGuests(t)
	guestShow(t)
	path, offline := qcemu, []string{"--net"}
	if os.Geteuid() != 0 {
		offline = append(offline, "--map-root-user")
	}
	if exec.Command("unshare", append(offline, "true")...).Run() == nil {
		script := "#!/bin/sh\nexec unshare " + strings.Join(offline, " ") + " " + qcemu + ` "$@"` + "\n"
		path = filepath.Join(t.TempDir(), "qcemu")
		write(t, path, []byte(script))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := startProgram(t, path, "--suite", "probe")
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// Go looks each time whether the guest's programs are up to date, and a step
	// is mentioned when it takes long.
	known := []string{"  boot for ", "  suite ", "  QEMU ", "  Building the initramfs"}
	for line := range strings.Lines(b.stderr.String()) {
		if !slices.ContainsFunc(known, func(begin string) bool { return strings.HasPrefix(line, begin) }) {
			t.Errorf("a second run says: %s", line)
		}
	}
}

// TestGuestPanic: a kernel that panics in the middle of a suite is a result.
// The kernel warns of the self-test that is known to fail, and is told to die
// of warnings.
func TestGuestPanic(t *testing.T) {
	needGuests(t)
	qemu, _ := wrapped(t, addToCommandLine("panic_on_warn=1"))
	b := startRun(t, "--qemu", qemu, "--suite", "selftest")
	if code := b.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	r := b.report()
	if !r.Failed() || len(r.Problems) == 0 || !strings.Contains(strings.Join(r.Problems, "\n"), "Kernel panic - not syncing") {
		t.Errorf("problems: %q", r.Problems)
	}
	if s := suite(t, r, "selftest"); s.Ended || !strings.Contains(s.Error, "panic") {
		t.Errorf("suite: %+v", s)
	}
	checkReports(t, b)
}

// addToCommandLine is a shell script that adds words to the kernel's command
// line in QEMU's arguments.
func addToCommandLine(words string) string {
	return `last=
for arg; do
	shift
	if [ "$last" = -append ]; then arg="$arg ` + words + `"; fi
	set -- "$@" "$arg"
	last=$arg
done`
}

// TestGuestBootFailure: a kernel that finds no init is a result as well.
func TestGuestBootFailure(t *testing.T) {
	needGuests(t)
	qemu, _ := wrapped(t, addToCommandLine("rdinit=/nowhere root=/dev/none"))
	b := startRun(t, "--qemu", qemu, "--suite", "probe")
	if code := b.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if r := b.report(); !strings.Contains(strings.Join(r.Problems, "\n"), "Kernel panic - not syncing") {
		t.Errorf("problems: %q", r.Problems)
	}
}

// kernelTime is what a line of the kernel's begins with on the console.
var kernelTime = regexp.MustCompile(`\[ *[0-9]+\.[0-9]{6}\] `)

// TestGuestEnd: a guest that is switched off too early is a result, a QEMU that
// dies is a failure of the bench. Either way each suite that was asked for is in
// the report, the one that ran with what the console said last.
func TestGuestEnd(t *testing.T) {
	needGuests(t)
	for _, c := range []struct {
		name string
		sig  syscall.Signal
		code int
		says string
	}{
		{"switched off", syscall.SIGTERM, 1, "the guest ended before its suites were through"},
		{"QEMU dies", syscall.SIGSEGV, 3, "QEMU ended with signal: segmentation fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			qemu, pidFile := wrapped(t, "")
			b := startRun(t, "--qemu", qemu, "--suite", "selftest,kcapi")
			b.until("qcemu: suite selftest")
			syscall.Kill(pid(t, pidFile), c.sig)
			if c.code == 1 { // the next boot is made all the same
				b.until("qcemu: suite kcapi")
				syscall.Kill(pid(t, pidFile), c.sig)
			}
			if code := b.wait(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			r := b.report()
			if s := suite(t, r, "kcapi"); !s.Failed() || !strings.Contains(s.Error, c.says) {
				t.Errorf("suite kcapi: %+v", s)
			}
			s := suite(t, r, "selftest")
			if !s.Failed() || s.Ended || len(s.Cases) == 0 {
				t.Fatalf("suite selftest: %+v", s)
			}
			if end := s.Cases[len(s.Cases)-1]; end.Status != report.Fail || !strings.Contains(end.Detail, c.says) || !kernelTime.MatchString(end.Detail) {
				t.Errorf("the suite's last case: %+v", end)
			}
			if words := b.stdout.String() + b.stderr.String(); !strings.Contains(words, c.says) {
				t.Errorf("it does not say %q", c.says)
			}
			checkReports(t, b)
		})
	}
}

// TestGuestHang: a guest that stands still is given up, and is a result.
func TestGuestHang(t *testing.T) {
	needGuests(t)
	qemu, pidFile := wrapped(t, "")
	b := startRun(t, "--qemu", qemu, "--suite", "selftest", "--patience", "60s")
	b.until("qcemu: suite selftest")
	n := pid(t, pidFile)
	syscall.Kill(n, syscall.SIGSTOP)
	if code := b.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	r := b.report()
	if s := suite(t, r, "selftest"); s.Ended || !strings.Contains(s.Error, "the guest hangs") {
		t.Errorf("suite: %+v", s)
	}
	if running(n) {
		t.Error("QEMU still runs")
	}
}

// TestGuestInterrupt: Ctrl-C ends everything that was started.
func TestGuestInterrupt(t *testing.T) {
	needGuests(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	qemu, pidFile := wrapped(t, "")
	b := startRun(t, "--qemu", qemu, "--suite", "selftest")
	b.until("qcemu: suite selftest")
	n := pid(t, pidFile)
	if !running(n) {
		t.Fatal("QEMU does not run")
	}
	b.cmd.Process.Signal(os.Interrupt)
	if code := b.wait(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if running(n) {
		t.Error("QEMU still runs")
	}
	if !strings.Contains(b.stderr.String(), "qcemu: interrupted") {
		t.Error("it does not say that it was interrupted")
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "qcemu-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestGuestOrphan: QEMU does not outlive a qcemu that was killed.
func TestGuestOrphan(t *testing.T) {
	needGuests(t)
	qemu, pidFile := wrapped(t, "")
	b := startRun(t, "--qemu", qemu, "--suite", "selftest")
	b.until("qcemu: suite selftest")
	n := pid(t, pidFile)
	b.cmd.Process.Kill()
	b.wait()
	eventually(t, "QEMU is gone", func() bool { return !running(n) })
}
