package vhostuser

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// PrivatelyMapped reports whether process pid has mapped the file fd privately
// and nowhere shared: what it writes there never gets into the file, so that
// nobody else sees it. It is false where that cannot be told.
func PrivatelyMapped(pid, fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return false
	}
	defer maps.Close()
	dev := fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev))
	ino := fmt.Sprint(st.Ino)
	private := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		f := strings.Fields(lines.Text()) // range, permissions, offset, device, inode, name
		if len(f) < 5 || f[3] != dev || f[4] != ino || len(f[1]) != 4 {
			continue
		}
		if f[1][3] == 's' {
			return false
		}
		private = true
	}
	return private
}
