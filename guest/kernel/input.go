package kernel

import (
	"errors"
	"fmt"
	"regexp"
)

// InputError is a mistake in what the user gave: a folder that is no kernel
// tree or cannot be used as it is, or patches that do not fit.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

func inputf(format string, args ...any) error { return &InputError{fmt.Errorf(format, args...)} }

// sourceName is a version as the names of Debian's source packages have it.
var sourceName = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// CheckInput looks at what the user gave, before anything is fetched or built
// for it.
func CheckInput(o Options) error {
	if o.Linux != "" && !sourceName.MatchString(o.Linux) {
		return inputf("--linux %s is neither a folder nor a version of Debian's kernel source, which looks like %s", o.Linux, defaultLinux)
	}
	if o.Tree != "" {
		t, err := inspect(o.Tree)
		if err != nil {
			return err
		}
		if err := t.buildable(o); err != nil {
			return err
		}
	}
	if o.Series != "" {
		if _, err := readPatches(o.Series); err != nil {
			return err
		}
	}
	return nil
}

// misfit makes a user's patch that does not apply a mistake of his.
func misfit(err error) error {
	if _, ok := errors.AsType[*patchError](err); ok {
		return &InputError{err}
	}
	return err
}
