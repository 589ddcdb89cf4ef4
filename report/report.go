// Package report holds the result of a run and writes it in the forms that
// people and tools read: a table for the terminal, JSON, KTAP and JUnit XML.
package report

// Status is the outcome of one test case.
type Status string

const (
	Pass    Status = "pass"
	Fail    Status = "fail"
	XFail   Status = "xfail" // failed as expected: Reason says why it must
	XPass   Status = "xpass" // expected to fail, but passed: the expectation is out of date; counts as a failure
	Skip    Status = "skip"  // not run: Reason says why
	Timeout Status = "timeout"
)

// Case is one check with its outcome.
type Case struct {
	Suite     string             `json:"suite"`
	Name      string             `json:"name"`                // unique within the suite
	Algorithm string             `json:"algorithm,omitempty"` // kernel driver name, e.g. "xts-aes-qce"
	Status    Status             `json:"status"`
	Reason    string             `json:"reason,omitempty"`  // why an expected failure or a skip is one
	Detail    string             `json:"detail,omitempty"`  // what was seen, for a failure
	Seconds   float64            `json:"seconds,omitempty"` // wall-clock time in the guest
	Metrics   map[string]float64 `json:"metrics,omitempty"` // name_unit → value, e.g. "bytes_per_second"
}
