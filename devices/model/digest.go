package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is a fingerprint of the results: of every count, but not of the words
// in which findings are told.
func (m *Model) Digest() string {
	h := sha256.New()
	for _, r := range m.Counter.Rows() {
		fmt.Fprintf(h, "row %q %d %q %q %d: %d %d %d %d %d %d %d\n", r.Suite, r.EE, r.Algorithm, r.Direction, r.KeyBits,
			r.Requests, r.Bytes, r.ByCPU, r.ByCommand, r.ByBoth, r.Locked, r.Errors)
	}
	for _, f := range m.Findings.Findings() {
		fmt.Fprintf(h, "finding %q %d %v %q\n", f.ID, f.Count, f.By, f.Suites)
	}
	for _, c := range m.Antagonists() {
		fmt.Fprintf(h, "antagonist %d: %d %d %d %d\n", c.EE, c.Requests, c.Corrupted, c.Hung, c.Dropped)
	}
	for _, b := range m.Integrity() {
		fmt.Fprintf(h, "side %d: %d %d %d %d %d\n", b.EE, b.Requests, b.Corrupted, b.Lost, b.Stray, b.Unjudged)
	}
	return hex.EncodeToString(h.Sum(nil))
}
