// Package scenario plays small scripts at the level of registers and
// descriptors against a crypto block: what a driver does, without a driver. A
// script says what must come of it: which findings, which output, which state
// of the lock.
//
// # Format
//
// A file holds scenarios. Each starts with a line "scenario NAME: SENTENCE" and
// goes to the next; before the first one stand lines that belong to all of
// them. One statement a line, words apart by spaces; "#" starts a comment.
//
// Numbers are decimal, or hexadecimal with 0x. Addresses are numbers or the name
// of a place, with an offset: RXFIFO, TXFIFO, CODE (command elements), IN and OUT
// (data), END (behind the last byte of memory), "IN+0x20". Each side has its own
// memory of 256 KiB at 0x80000000.
//
// The block:
//
//	soc NAME                    chip, default sdm845
//	timing NAME                 model time, default: everything at once
//	reading NAME=VALUE          an open question answered otherwise
//	in-flight                   look for descriptors that change in flight
//
// The world:
//
//	as linux|secure             who acts from here on; the secure side has another
//	                            execution environment, pipe pair and memory
//	hole ADDR SIZE              no memory there
//	protect ADDR SIZE           memory that may be read only
//	poke ADDR HEX               bytes into memory
//	reset chip
//
// What drivers do, on the pipe pair of whoever acts: rx feeds the engine, tx
// takes what it gives.
//
//	open rx|tx|both [group=N] [fifo=BYTES] [base=ADDR]
//	                            sets a pipe up in the driver's order
//	cmd REG=VALUE... [FLAGS] [size=N] [at=ADDR]
//	                            a command descriptor with a write element for each
//	                            REG; "read:REG" is a READ element to END-16,
//	                            "@ADDR=VALUE" one with a 24-bit address of its own
//	lock [FLAGS]                cmd VERSION=0 CMD LOCK
//	unlock [FLAGS]              cmd VERSION=0 CMD UNLOCK
//	setup ALG enc|dec|hash LEN [without=REG] [list] [FLAGS]
//	                            the driver's register writes as command descriptors,
//	                            one element each, GOPROC last; list: all elements in
//	                            one descriptor, with FLAGS
//	program ALG enc|dec|hash LEN [without=REG]
//	                            the same by the processor
//	data LEN [FLAGS] [at=ADDR]  input of the latest request, from where the last one
//	                            ended
//	room LEN [FLAGS] [at=ADDR]  room for its output, the same
//	ring rx|tx [to=OFFSET]      publishes what was queued
//	write REG VALUE             by the processor; a BAM register of a pipe is
//	read REG                    written P_CTRL[rx], a number in its place is the pipe
//	poll REG COUNT
//	serve                       takes an interrupt as Linux does
//	close rx|tx                 P_RST 1, 0
//	repeat COUNT STATEMENT...
//
// FLAGS are INT EOT EOB NWD CMD LOCK UNLOCK IMME. ALG is cbc-aes, ctr-aes,
// xts-aes, sha256 or hmac-sha256, each with a key and input of its own.
//
// What must come of it:
//
//	finds RULE...               these rules are broken by now; without it at least
//	                            once in a scenario, no rule may be
//	near RULE...                the scenario comes close to breaking these, and does not
//	allows RULE...              these may be, or not
//	expect REG VALUE[/MASK]     of a register
//	expect output right|wrong   of the last set-up of whoever acts
//	expect lock free|linux|secure
//	expect line 0|1             interrupt line of whoever acts
//	expect done rx|tx COUNT     descriptors finished since the pipe was opened
//
// A scenario ends with what the checker finds left over (checker.Finish).
package scenario
