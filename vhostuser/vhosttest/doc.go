// Package vhosttest is a vhost-user front-end for tests: it speaks the protocol
// as QEMU does, or as a hostile peer would, and drives split and packed rings as
// a guest's driver does, in memory that it shares with the back-end.
package vhosttest
