package afalg

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// spliceChunk is what a pipe holds.
const spliceChunk = 64 << 10

// splice moves size bytes from the start of a file into the request, through a
// pipe, and ends the message with them.
func (r *request) splice(f *os.File, size int) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return r.t.fail("pipe", err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])

	var off int64
	for left := size; left > 0; {
		n, err := spliceOnce(int(f.Fd()), &off, pipe[1], min(left, spliceChunk), 0)
		if err != nil {
			return r.t.fail("splice from the file", err)
		}
		if n == 0 {
			return r.t.fail("splice from the file", fmt.Errorf("it ends %d bytes early", left))
		}
		left -= n
		flags := 0
		if left > 0 {
			flags = unix.SPLICE_F_MORE
		}
		for n > 0 {
			m, err := spliceOnce(pipe[0], nil, r.fd, n, flags)
			if err != nil {
				return r.t.fail("splice", err)
			}
			if m == 0 {
				return r.t.fail("splice", unix.EIO)
			}
			n -= m
		}
	}
	return nil
}

func spliceOnce(from int, off *int64, to, size, flags int) (int, error) {
	var n int64
	err := retry(func() (err error) {
		n, err = unix.Splice(from, off, to, nil, size, flags)
		return err
	})
	return int(n), err
}
