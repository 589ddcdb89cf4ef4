// Package afalg is a client of the kernel's crypto interface for user space,
// the AF_ALG sockets: symmetric ciphers, hashes and AEADs, in one go, as a
// stream of chunks, or spliced from a file.
//
// An algorithm is named by its driver name ("cbc-aes-qce") to reach one
// implementation, or by its generic name ("cbc(aes)") to reach the one of
// highest priority. Opening it binds a socket; every request then accepts an
// operation socket of its own, so that a value can serve several goroutines.
//
// A driver that never completes a request blocks the calling thread for good:
// the kernel waits for it without listening to signals.
package afalg
