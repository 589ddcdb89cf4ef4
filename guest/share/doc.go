// Package share is the folder that host and guest have in common: a 9P2000.L
// server over a stream, on the host, for the kernel's v9fs in the guest.
//
// The stream is a virtio-serial port named job.PortName. A guest's file of that
// port has no read_iter, which the kernel's trans=fd asks for, so the guest's
// init carries the bytes between the port and a socket pair.
//
// One file is not on the host's disk: control (job.ControlName). Each line that
// the guest writes to it is a job.Event, and the write returns when the host's
// callback has returned. The job (job.FileName) may be synthetic as well
// (Server.SetJob), so that nothing of ours stands in a user's folder.
//
// Trust: the guest's bytes are hostile. The server stays below its folder
// (os.Root: no "..", no symbolic link out of it), opens nothing but regular
// files and folders, bounds what a client may have open, in flight or in one
// message (guard.go), and a client that breaks the protocol loses its
// connection, nothing else.
package share
