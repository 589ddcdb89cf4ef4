package testbench

import "fmt"

// UsageError is a mistake of the user: what he asked for does not exist or
// makes no sense. The program ends with exit code 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }
