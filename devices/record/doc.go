// Package record keeps everything that comes into a model of the crypto block,
// and makes the same run again from it, without QEMU and guest.
//
// A Recorder is the tap of a model: it writes what comes in to a file. Replay
// makes the entries again and answers the pipes' memory accesses from the file;
// since a model is deterministic, attestation and findings are the same, byte
// for byte, and where they are not, the replay says which entry was the first to
// differ. Variant runs a recording on a model that is to do something else, by
// what the recording tells of memory; Shrink uses it to find the few entries
// that show a finding, Copy to bring a recording up to date. Print is for people.
//
// # File
//
//	file   = magic "QCREC\r\n\x1a", version byte, chunk...
//	chunk  = type byte, raw length, stored length, CRC-32C, stored bytes
//
// Lengths are unsigned varints. The checksum, four bytes little-endian, is of the
// type, the lengths and the stored bytes. These are the raw bytes compressed by
// DEFLATE, or the raw bytes themselves if both lengths are equal. Raw lengths go
// to 1 MiB. The first chunk ("H") is the JSON of Header, chunks of records ("D")
// follow, and the last ("T") is JSON with the number of entries and a digest of
// the results. Without it the run died, or its disk was full: what is there
// counts. Each chunk can be read for itself.
//
// # Records
//
// The low half of a record's first byte is its kind, the high half has flags.
// Numbers are varints, signed ones zigzag.
//
//	1 read      [EE] [size] offset
//	2 write     [EE] [size] offset value
//	3 reset     [EE]               power-on reset of the chip
//	4 idle      [EE]               no access comes: what is left over happens
//	5 leave     [value] [writes CRC-32C]
//	6 fetch     pipe size address bytes
//	7 fault     pipe size address reason [writes before it]
//	8 suite     length name
//	9 end                          the books were closed
//	10 time     milliseconds       since the recording began
//
// 1 to 4 are entries: flag 0x10 says that the byte EE is there, else it is
// Linux's; 0x20 the same of the size, else it is 4. An entry lasts until "leave",
// which has the value of a load (0x10) and, if pipes have written memory (0x20),
// how many times and a checksum of the addresses and bytes. In between stand
// memory reads of pipes, and accesses that failed; 0x10 in a fault says that it
// was a write. An address is the distance, signed, to where the last access of
// the same pipe and class ended in this chunk; the classes are 8 bytes, 16 bytes
// and any other size.
package record
