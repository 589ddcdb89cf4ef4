package kernel

import (
	"runtime"

	"github.com/qcemu/qcemu/guest/debian"
)

// crossCompile is the prefix of the compiler's programs.
const crossCompile = "aarch64-linux-gnu-"

// HostTools is what a machine must have to build the guest's kernel. Kernels
// with other configurations need more: libssl-dev for signed modules, libelf
// and pahole for BTF.
func HostTools() []debian.Requirement {
	cross := "gcc-aarch64-linux-gnu"
	if runtime.GOARCH == "arm64" {
		cross = "gcc" // the native compiler answers to the long name as well
	}
	return []debian.Requirement{
		{Package: cross, Program: crossCompile + "gcc"},
		{Package: "gcc", Program: "gcc"}, // for the programs that the build itself runs
		{Package: "libc6-dev", Header: "stdlib.h"},
		{Package: "make", Program: "make"},
		{Package: "flex", Program: "flex"},
		{Package: "bison", Program: "bison"},
		{Package: "bc", Program: "bc"},
		{Package: "mawk", Program: "awk"},
		{Package: "perl-base", Program: "perl"},
		{Package: "patch", Program: "patch"},
		{Package: "tar", Program: "tar"},
		{Package: "xz-utils", Program: "xz"},
		{Package: "gzip", Program: "gzip"},
	}
}
