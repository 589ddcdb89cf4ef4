package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/qcemu/qcemu/progress"
)

// apt is apt-get on state folders of its own.
type apt struct {
	dir      string // holds everything apt writes
	arch     string // Debian's name of the architecture
	mirrors  mirrors
	keyring  string
	progress *progress.Printer
}

// pkg is one package of a resolved set.
type pkg struct {
	Name    string
	Version string
	Arch    string
	File    string // in the archives folder
	URI     string
	Size    int64
	Hash    string
}

func (a *apt) conf() string     { return filepath.Join(a.dir, "apt.conf") }
func (a *apt) archives() string { return filepath.Join(a.dir, "cache", "archives") }
func (a *apt) lists() string    { return filepath.Join(a.dir, "state", "lists") }
func (a *apt) stamp() string    { return filepath.Join(a.dir, "updated") }

// configure writes the private configuration. It is given by -c, which apt
// reads last, so a machine's proxies and credentials stay in force.
func (a *apt) configure() error {
	for _, dir := range []string{
		filepath.Join(a.lists(), "partial"),
		filepath.Join(a.archives(), "partial"),
		filepath.Join(a.dir, "none", "partial"),
		filepath.Join(a.dir, "log"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"status":       "", // nothing is installed: every dependency is brought along
		"sources.list": a.sourcesList(),
		"apt.conf":     a.confText(),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (a *apt) sourcesList() string {
	var b strings.Builder
	line := func(uri, suite string) {
		fmt.Fprintf(&b, "deb [arch=%s target=Packages signed-by=%s] %s %s main\n", a.arch, a.keyring, uri, suite)
	}
	line(a.mirrors.Archive, release)
	line(a.mirrors.Archive, release+"-backports")
	if a.mirrors.Security != "" {
		line(a.mirrors.Security, release+"-security")
	}
	return b.String()
}

func (a *apt) confText() string {
	set := [][2]string{
		{"APT::Architecture", a.arch},
		{"APT::Architectures::", a.arch},
		{"APT::Install-Recommends", "false"},
		{"APT::Install-Suggests", "false"},
		{"APT::Sandbox::User", ""},
		{"APT::Get::AllowUnauthenticated", "false"},
		{"Acquire::AllowInsecureRepositories", "false"},
		{"Acquire::AllowWeakRepositories", "false"},
		{"Acquire::AllowDowngradeToInsecureRepositories", "false"},
		{"Acquire::Languages", "none"},
		{"Acquire::PDiffs", "false"},
		{"Acquire::Retries", "5"},
		{"Debug::NoLocking", "true"}, // the cache's lock covers the folder
		{"Dir::State", filepath.Join(a.dir, "state")},
		{"Dir::State::Lists", a.lists()},
		{"Dir::State::status", filepath.Join(a.dir, "status")},
		{"Dir::State::extended_states", filepath.Join(a.dir, "state", "extended_states")},
		{"Dir::Cache", filepath.Join(a.dir, "cache")},
		{"Dir::Cache::archives", a.archives()},
		{"Dir::Cache::pkgcache", "pkgcache.bin"},
		{"Dir::Cache::srcpkgcache", "srcpkgcache.bin"},
		{"Dir::Log", filepath.Join(a.dir, "log")},
		{"Dir::Etc::SourceList", filepath.Join(a.dir, "sources.list")},
		{"Dir::Etc::SourceParts", "/dev/null"},
		{"Dir::Etc::Preferences", "/dev/null"},
		{"Dir::Etc::PreferencesParts", "/dev/null"},
	}
	var b strings.Builder
	for _, name := range []string{
		"APT::Architectures", "APT::Default-Release", "APT::Update", "APT::Snapshot",
		"DPkg::Pre-Install-Pkgs", "DPkg::Pre-Invoke", "DPkg::Post-Invoke",
	} {
		fmt.Fprintf(&b, "#clear %s;\n", name)
	}
	for _, s := range set {
		fmt.Fprintf(&b, "%s %q;\n", s[0], s[1])
	}
	return b.String()
}

// command is an apt-get call on the private state.
func (a *apt) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-c", a.conf()}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "APT_CONFIG=")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (a *apt) run(ctx context.Context, args ...string) (string, error) {
	cmd := a.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("apt-get is missing: packages can be fetched on Debian and Ubuntu only; elsewhere give --qemu and --linux")
		}
		return "", a.explain(errs.String() + out.String())
	}
	return out.String(), nil
}

// fresh is how long the package lists are taken for current.
const fresh = 24 * time.Hour

// update fetches the package lists, unless they are recent.
func (a *apt) update(ctx context.Context, force bool) (err error) {
	if st, err := os.Stat(a.stamp()); err == nil && !force && time.Since(st.ModTime()) < fresh {
		if old, _ := os.ReadFile(a.stamp()); string(old) == a.sourcesList() {
			return nil
		}
	}
	step := a.progress.Begin("Fetching Debian's package lists (%s, %s)", release, a.arch)
	defer func() { step.End(err) }()
	before := folderSize(a.lists())
	stop := watch(func() {
		if n := folderSize(a.lists()) - before; n > 0 {
			step.Note("%d MB", n>>20)
		}
	})
	_, err = a.run(ctx, "-q", "update", "-o", "APT::Get::List-Cleanup=1", "-o", "APT::Update::Error-Mode=any")
	stop()
	if err != nil {
		return err
	}
	return os.WriteFile(a.stamp(), []byte(a.sourcesList()), 0o644)
}

// resolve asks apt for a set of packages with all they depend on. suite, if
// not empty, is preferred ("trixie-backports").
func (a *apt) resolve(ctx context.Context, suite string, names ...string) ([]pkg, error) {
	args := []string{"-qq", "-y", "--print-uris", "-o", "Dir::Cache::archives=" + filepath.Join(a.dir, "none")}
	if suite != "" {
		args = append(args, "-t", suite)
	}
	out, err := a.run(ctx, append(append(args, "install"), names...)...)
	if err != nil {
		return nil, err
	}
	return parseURIs(out)
}

// resolveOne asks for one package alone.
func (a *apt) resolveOne(ctx context.Context, name string) (pkg, error) {
	out, err := a.run(ctx, "-qq", "--print-uris", "download", name)
	if err != nil {
		return pkg{}, err
	}
	list, err := parseURIs(out)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("apt-get names %d files for the package %s", len(list), name)
	}
	if err != nil {
		return pkg{}, err
	}
	return list[0], nil
}

// fetch downloads packages into the archives folder; apt checks their hashes
// against the signed lists.
func (a *apt) fetch(ctx context.Context, what string, list []pkg) (err error) {
	var total int64
	sizes := map[string]int64{}
	args := []string{"-q", "-y"}
	for _, p := range list {
		total += p.Size
		sizes[p.File] = p.Size
	}
	step := a.progress.Begin("Downloading %s: %d packages, %d MB", what, len(list), (total+1<<20-1)>>20)
	defer func() { step.End(err) }()
	stop := watch(func() {
		var done int64
		for _, dir := range []string{a.archives(), filepath.Join(a.archives(), "partial")} {
			files, _ := os.ReadDir(dir)
			for _, f := range files {
				if info, err := f.Info(); err == nil && sizes[f.Name()] > 0 {
					done += min(info.Size(), sizes[f.Name()])
				}
			}
		}
		step.Update(done>>20, max(total>>20, 1), "MB")
	})
	defer stop()
	args = append(args, "--download-only", "--no-install-recommends", "install")
	for _, p := range list {
		args = append(args, p.Name+"="+p.Version)
	}
	if _, err = a.run(ctx, args...); err != nil {
		return err
	}
	for _, p := range list {
		if _, err := os.Stat(filepath.Join(a.archives(), p.File)); err != nil {
			return fmt.Errorf("apt-get did not download %s", p.File)
		}
	}
	return nil
}

// fetchOne downloads one package alone and returns its file.
func (a *apt) fetchOne(ctx context.Context, p pkg) (file string, err error) {
	step := a.progress.Begin("Downloading %s %s: %d MB", p.Name, p.Version, p.Size>>20)
	defer func() { step.End(err) }()
	file = filepath.Join(a.archives(), p.File)
	stop := watch(func() {
		if st, err := os.Stat(file); err == nil {
			step.Update(st.Size()>>20, max(p.Size>>20, 1), "MB")
		}
	})
	defer stop()
	os.Remove(file)
	cmd := a.command(ctx, "-q", "download", p.Name+"="+p.Version)
	cmd.Dir = a.archives()
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", a.explain(string(out))
	}
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("apt-get did not download %s", p.File)
	}
	return file, nil
}

// parseURIs reads the lines of --print-uris: 'URI' FILE SIZE HASH.
func parseURIs(out string) ([]pkg, error) {
	var list []pkg
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		p := pkg{URI: strings.Trim(f[0], "'"), File: f[1]}
		parts := strings.Split(strings.TrimSuffix(p.File, ".deb"), "_")
		size, err := strconv.ParseInt(f[2], 10, 64)
		if len(parts) != 3 || err != nil || strings.Contains(p.File, "/") {
			return nil, fmt.Errorf("apt-get --print-uris: line not understood: %s", strings.TrimSpace(line))
		}
		p.Name, p.Arch, p.Size = parts[0], parts[2], size
		if p.Version, err = url.PathUnescape(parts[1]); err != nil {
			return nil, fmt.Errorf("apt-get --print-uris: file name not understood: %s", p.File)
		}
		if len(f) > 3 {
			p.Hash = f[3]
		}
		list = append(list, p)
	}
	return list, nil
}

// watch calls look every now and then until the returned function is called.
func watch(look func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(500 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				look()
			}
		}
	}()
	var once bool
	return func() {
		if !once {
			once = true
			close(quit)
			<-done
		}
	}
}

func folderSize(dir string) int64 {
	var sum int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
