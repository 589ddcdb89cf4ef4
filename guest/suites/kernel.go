package suites

import "time"

// Kernel is what a suite asks of the running kernel.
type Kernel interface {
	// Release is the kernel's version as uname -r prints it.
	Release() string
	// Algorithms reads /proc/crypto.
	Algorithms() ([]Algorithm, error)
	// Mark returns the present end of the kernel log.
	Mark() (Mark, error)
	// LogSince returns what was logged after the mark.
	LogSince(m Mark) ([]LogLine, error)
	// LoadModule loads a module and what it depends on. A module that is
	// loaded already, or built in, is no error (its params are then not
	// applied). The error of the module's own init function comes back as an
	// errno: errors.Is(err, unix.EAGAIN) for tcrypt when it is through.
	LoadModule(name string, params ...string) error
	// UnloadModule removes a module. One that is not loaded is no error.
	UnloadModule(name string) error
	// ReadFile reads a file of /proc, /sys or /dev.
	ReadFile(name string) ([]byte, error)
	// Glob lists files of /proc, /sys or /dev.
	Glob(pattern string) ([]string, error)
	// Readlink reads a symbolic link.
	Readlink(name string) (string, error)
}

// Algorithm is one entry of /proc/crypto.
type Algorithm struct {
	Name     string // "cbc(aes)"
	Driver   string // "cbc-aes-qce"
	Module   string
	Priority int
	RefCount int
	Selftest string // "passed", "unknown"
	Internal bool
	Type     string            // "skcipher", "ahash", "aead", ...
	Fields   map[string]string // the entry's lines as they stand, by key
}

// Mark is a position in the kernel log: the number of a record.
type Mark uint64

// LogLine is one record of the kernel log.
type LogLine struct {
	Seq   uint64
	Level int // 0 emergency ... 7 debug
	Time  time.Duration
	Text  string
}
