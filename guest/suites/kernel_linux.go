package suites

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Modules loads and removes kernel modules.
type Modules interface {
	Load(name string, params ...string) error
	Unload(name string) error
}

// Running returns the kernel that this process runs on.
func Running(m Modules) Kernel { return running{m} }

type running struct{ modules Modules }

func (k running) LoadModule(name string, params ...string) error {
	return k.modules.Load(name, params...)
}
func (k running) UnloadModule(name string) error        { return k.modules.Unload(name) }
func (k running) ReadFile(name string) ([]byte, error)  { return os.ReadFile(name) }
func (k running) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }
func (k running) Readlink(name string) (string, error)  { return os.Readlink(name) }

func (k running) Release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (k running) Algorithms() ([]Algorithm, error) {
	data, err := os.ReadFile("/proc/crypto")
	if err != nil {
		return nil, err
	}
	return parseAlgorithms(data), nil
}

// parseAlgorithms reads the blocks of /proc/crypto.
func parseAlgorithms(data []byte) []Algorithm {
	var list []Algorithm
	for block := range strings.SplitSeq(string(data), "\n\n") {
		a := Algorithm{Fields: map[string]string{}}
		for line := range strings.SplitSeq(block, "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok {
				a.Fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		if a.Fields["name"] == "" {
			continue
		}
		a.Name, a.Driver, a.Module = a.Fields["name"], a.Fields["driver"], a.Fields["module"]
		a.Type, a.Selftest = a.Fields["type"], a.Fields["selftest"]
		a.Internal = a.Fields["internal"] == "yes"
		a.Priority, _ = strconv.Atoi(a.Fields["priority"])
		a.RefCount, _ = strconv.Atoi(a.Fields["refcnt"])
		list = append(list, a)
	}
	return list
}

// maxRecord bounds one record of /dev/kmsg (CONSOLE_EXT_LOG_MAX is 8 KiB).
const maxRecord = 16 << 10

// Mark reads to the end of the log: a record's number is known only from
// reading it.
func (k running) Mark() (Mark, error) {
	lines, err := k.LogSince(0)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	return Mark(lines[len(lines)-1].Seq + 1), nil
}

// LogSince reads the kernel log. What the kernel has overwritten in the
// meantime is missing.
func (k running) LogSince(m Mark) ([]LogLine, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	defer unix.Close(fd)
	var lines []LogLine
	buf := make([]byte, maxRecord)
	for {
		n, err := unix.Read(fd, buf) // one record each time
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR):
			continue // EPIPE: overwritten; the next read gives the oldest that is left
		case err != nil:
			return lines, fmt.Errorf("/dev/kmsg: %w", err)
		case n == 0:
			return lines, nil
		}
		if l, ok := parseRecord(string(buf[:n])); ok && Mark(l.Seq) >= m {
			lines = append(lines, l)
		}
	}
}

// parseRecord reads "priority,number,microseconds,flags;text", after which
// lines of properties begin with a blank.
func parseRecord(s string) (LogLine, bool) {
	head, text, ok := strings.Cut(s, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return LogLine{}, false
	}
	prio, err1 := strconv.Atoi(fields[0])
	seq, err2 := strconv.ParseUint(fields[1], 10, 64)
	usec, err3 := strconv.ParseInt(fields[2], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return LogLine{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	return LogLine{Seq: seq, Level: prio & 7, Time: time.Duration(usec) * time.Microsecond, Text: text}, true
}
