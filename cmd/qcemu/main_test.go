package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// An interrupted run tells what else went wrong, and not what the interruption
// did.
func TestApart(t *testing.T) {
	full := errors.New("no space left on device")
	canceled := fmt.Errorf("boot: %w", context.Canceled)
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "<nil>"},
		{canceled, "<nil>"},
		{errors.Join(canceled, full), "no space left on device"},
		{errors.Join(errors.Join(canceled, nil), full), "no space left on device"},
	} {
		if got := fmt.Sprint(errors.Join(apart(c.err)...)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}
