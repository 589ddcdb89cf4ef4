package testbench

import (
	"errors"
	"fmt"
)

// UsageError is a mistake of the user: what he asked for does not exist or
// makes no sense. The program ends with exit code 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// rootCause is the innermost error: what went wrong, without what was tried.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }
