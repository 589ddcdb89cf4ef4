// Package testbench runs the whole bench: it prepares QEMU, kernel and guest
// image, boots the guest on the model as often as the suites need, listens to
// what the guest says, watches for its death, and makes the report.
package testbench
