// Package tests runs the qcemu program as its users do.
//
// Without further ado it tests the command line (testdata/script), the backend
// as a process, over its socket, against a client that behaves as QEMU and as
// the drivers do, and against one that does not. With QCEMU_E2E=1 in the
// environment it boots guests too, which needs QEMU and a kernel; both come
// from the cache or are fetched and built. docs/testing.md has the whole
// picture.
//
// The program under test is built by the tests, or named by QCEMU.
package tests
