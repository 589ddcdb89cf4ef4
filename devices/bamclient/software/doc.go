// Package software does the operations of package bamclient without the engine,
// by Go's crypto packages. It stands in for the engine in tests, and in service
// for what the engine cannot do but drivers of virtio-crypto expect, AES with
// 192-bit keys, as the engine's Linux driver also falls back to software.
package software
