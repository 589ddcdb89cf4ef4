// Package vfiotest is a vfio-user client for tests. It speaks the protocol
// properly through its methods and as badly as a test wants through Raw.
package vfiotest
