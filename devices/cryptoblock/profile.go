package cryptoblock

import (
	"fmt"
	"strings"
)

// Profile is one chip's crypto block: what its registers say of themselves, how
// its pipes are shared out, and how its device tree describes it.
//
// Registers that no public source shows a value of are inferred from the next
// relative of the chip; Evidence says which.
type Profile struct {
	Name     string
	Evidence string // where the values come from, and which are inferred

	// BAM (datasheet §2.3, §3).
	Layout   string // register layout: "v1.3", "v1.4", "v1.7", "v2.0"
	Revision uint8  // BAM_REVISION[7:0]
	Pipes    int    // BAM_NUM_PIPES
	NumEEs   int    // BAM_REVISION[11:8]
	AddrBits int    // width of data addresses: 32, 36 or 40

	// QCE (datasheet §12).
	Version uint32 // VERSION
	Engines uint32 // ENGINES_AVAIL
	GCM     bool   // AES-GCM, which ENGINES_AVAIL does not tell of

	// Placement in the window (datasheet §1).
	BAMOffset, BAMSize uint32
	QCEOffset, QCESize uint32

	// Who owns what (datasheet §11, §27): Linux's execution environment and
	// its pipe pair. All other pipes belong to the secure side.
	EE       int
	PipePair int

	DT DeviceTree
}

// DeviceTree is how the chip's device tree describes the block (datasheet §27).
type DeviceTree struct {
	BAMCompatible []string
	QCECompatible []string
	// Clock: the BAM node has a clock, so Linux reads its size from the
	// registers; else from the two numbers below.
	Clock       bool
	NumChannels int
	NumEEs      int
	Remote      Remote
}

// Remote says who brings the BAM up.
type Remote uint8

const (
	Local      Remote = iota // Linux resets and enables it
	Controlled               // the secure side does: "qcom,controlled-remotely"
	Powered                  // it powers it, Linux resets it: "qcom,powered-remotely"
)

// RXPipe is the consumer pipe of Linux's pair, TXPipe the producer pipe.
func (p *Profile) RXPipe() int { return 2 * p.PipePair }
func (p *Profile) TXPipe() int { return 2*p.PipePair + 1 }

// The places of the two register blocks since the MSM8996, and before.
const (
	bamOffset    = 0x4000
	qceOffset    = 0x3a000
	qceOffsetOld = 0x1a000
	qceSize      = 0x6000
)

// WindowSize is the size of the block's address window in bytes.
const WindowSize = 0x40000

var profiles = []Profile{
	{
		Name:     "msm8974",
		Evidence: "VERSION and ENGINES_AVAIL from a boot log (datasheet §12 [O]); BAM layout from its siblings, revision and pipe pair inferred",
		Layout:   "v1.4", Revision: 0x06, Pipes: 8, NumEEs: 4, AddrBits: 32,
		Version: 0x05010000, Engines: 0x01010853,
		BAMOffset: bamOffset, BAMSize: 0x15000, QCEOffset: qceOffsetOld, QCESize: qceSize,
		EE: 0, PipePair: 1,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.4.0"}, QCECompatible: []string{"qcom,crypto-v5.1"}, Clock: true, Remote: Controlled},
	},
	{
		Name:     "ipq4019",
		Evidence: "identification from a boot log (datasheet §2.3, §12 [O]); EE and pipes as on the other IPQ chips (§27)",
		Layout:   "v1.7", Revision: 0x27, Pipes: 4, NumEEs: 4, AddrBits: 32,
		Version: 0x05030001, Engines: 0x02010453,
		BAMOffset: bamOffset, BAMSize: 0x20000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 1, PipePair: 1,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,crypto-v5.1"}, Clock: true, Remote: Controlled},
	},
	{
		Name:     "msm8996",
		Evidence: "device tree facts of datasheet §27 [D]; VERSION, ENGINES_AVAIL and revision inferred from MSM8998",
		Layout:   "v1.7", Revision: 0x27, Pipes: 16, NumEEs: 4, AddrBits: 32,
		Version: 0x05030004, Engines: 0x02011053,
		BAMOffset: bamOffset, BAMSize: 0x24000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 0, PipePair: 3,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,crypto-v5.4"}, Clock: true, Remote: Controlled},
	},
	{
		Name:     "sdm845",
		Evidence: "identification from boot logs (datasheet §2.3, §12 [O]); device tree facts of §27 [D]",
		Layout:   "v1.7", Revision: 0x27, Pipes: 16, NumEEs: 4, AddrBits: 32,
		Version: 0x05040001, Engines: 0x02011073,
		BAMOffset: bamOffset, BAMSize: 0x24000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 0, PipePair: 3,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,crypto-v5.4"}, Clock: true, Remote: Controlled},
	},
	{
		Name:     "sm8250",
		Evidence: "device tree facts of datasheet §27 [D]; VERSION inferred (between SDM845 and SC7280), the rest from SDM845",
		Layout:   "v1.7", Revision: 0x27, Pipes: 16, NumEEs: 4, AddrBits: 36,
		Version: 0x05050000, Engines: 0x02011073,
		BAMOffset: bamOffset, BAMSize: 0x24000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 0, PipePair: 2,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,sm8150-qce", "qcom,qce"}, NumChannels: 8, NumEEs: 2, Remote: Controlled},
	},
	{
		Name:     "sm8650",
		Evidence: "device tree facts of datasheet §27 [D]; VERSION inferred (after SC7280's 5.6.0), engines from SDM845 with one pipe set for each pair of 20 pipes",
		Layout:   "v1.7", Revision: 0x27, Pipes: 20, NumEEs: 4, AddrBits: 36,
		Version: 0x05070000, Engines: 0x02011473,
		BAMOffset: bamOffset, BAMSize: 0x28000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 0, PipePair: 2,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,sm8650-qce", "qcom,sm8150-qce", "qcom,qce"}, NumChannels: 20, NumEEs: 4, Remote: Controlled},
	},
	{
		Name:     "ideal",
		Evidence: "no chip: every engine and feature that the model has, to test what no single chip offers",
		Layout:   "v1.7", Revision: 0x27, Pipes: 16, NumEEs: 4, AddrBits: 40,
		Version: 0x05090000, Engines: 0x02011073, GCM: true,
		BAMOffset: bamOffset, BAMSize: 0x28000, QCEOffset: qceOffset, QCESize: qceSize,
		EE: 0, PipePair: 2,
		DT: DeviceTree{BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"}, QCECompatible: []string{"qcom,qce"}, Clock: true, Remote: Controlled},
	},
}

// DefaultSoC is the profile that is used when none is named: the one with the
// most values that were seen on silicon.
const DefaultSoC = "sdm845"

// Profiles returns the names of all profiles.
func Profiles() []string {
	names := make([]string, len(profiles))
	for i := range profiles {
		names[i] = profiles[i].Name
	}
	return names
}

// ProfileByName finds a profile; the error names those that there are.
func ProfileByName(name string) (*Profile, error) {
	for i := range profiles {
		if profiles[i].Name == name {
			p := profiles[i]
			return &p, nil
		}
	}
	return nil, fmt.Errorf("no SoC %q; there are: %s", name, strings.Join(Profiles(), ", "))
}
