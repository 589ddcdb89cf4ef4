// Package bench measures what the design promises of speed and memory: a
// register read through the socket, a request in the core, the same read from
// a guest, what a request in the guest is made of, and what serving costs.
//
// Every figure is told beside another one that was taken in the same run, by
// turns with it, so that the ratio means something on a machine that has more
// to do. Nothing here fails because of a time: the command reports.
package bench
