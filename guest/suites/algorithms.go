package suites

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kernel's type of an algorithm, as /proc/crypto has it.
type Kind string

const (
	Skcipher Kind = "skcipher"
	Hash     Kind = "ahash"
	AEAD     Kind = "aead"
)

// EngineAlgorithm is one algorithm that a version of the QCE driver registers:
// what the kernel calls it, and the sizes it takes, in bytes.
type EngineAlgorithm struct {
	Driver string // "cbc-aes-qce"
	Name   string // "cbc(aes)"
	Kind   Kind
	// KeySizes are the key sizes that the engine itself handles. For an
	// authenc algorithm they are those of its cipher, for rfc4309 they leave
	// the salt out. Empty for hashes: a keyed one takes any size.
	KeySizes []int
	// SoftKeySizes are those that the driver accepts and hands to a software
	// fallback, because the engine lacks them (datasheet §20).
	SoftKeySizes []int
	Salt         int // that follows the key
	IV           int
	Block        int // granularity of the message: 1 for counter modes
	Digest       int // of a hash
	TagSizes     []int
	Keyed        bool // a hash with a key
	// Until is the first mainline version that no longer has the algorithm;
	// zero while there is none. Stable trees dropped it by backport, 6.12 with
	// release 6.12.108: before Until its absence is no fault.
	Until Version
}

// Version is the part of a kernel release that decides what it offers.
type Version struct{ Major, Minor int }

// Compare orders versions.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor))
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// ParseVersion reads the version out of a kernel release such as
// "6.12.117-qcemu" or "7.1.0-rc1+".
func ParseVersion(release string) (Version, error) {
	head, rest, ok := strings.Cut(release, ".")
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		rest = rest[:end]
	}
	major, err1 := strconv.Atoi(head)
	minor, err2 := strconv.Atoi(rest)
	if !ok || err1 != nil || err2 != nil {
		return Version{}, fmt.Errorf("kernel release %q does not start with a version such as 6.12", release)
	}
	return Version{major, minor}, nil
}

// Versions at which something changed for users of the engine.
var (
	// afAlgMasked: since 7.2 AF_ALG refuses algorithms that are asynchronous,
	// allocate memory or are reachable through their driver only. All of QCE's
	// are.
	afAlgMasked = Version{7, 2}
	// weakGone: the driver's ECB, DES, 3DES and SHA-1 algorithms were removed.
	weakGone = Version{7, 2}
)

var (
	aesKeys  = []int{16, 32}
	aesSoft  = []int{24}
	sha1Tag  = []int{12, 20}
	sha2Tag  = []int{16, 32}
	ccmTag   = []int{4, 6, 8, 10, 12, 14, 16}
	ipsecTag = []int{8, 12, 16}
)

// engineAlgorithms lists everything that the mainline driver has ever
// registered, in its order (datasheet §20 and the driver's earlier versions).
var engineAlgorithms = []EngineAlgorithm{
	{Driver: "ecb-aes-qce", Name: "ecb(aes)", Kind: Skcipher, KeySizes: aesKeys, SoftKeySizes: aesSoft, Block: 16, Until: weakGone},
	{Driver: "cbc-aes-qce", Name: "cbc(aes)", Kind: Skcipher, KeySizes: aesKeys, SoftKeySizes: aesSoft, IV: 16, Block: 16},
	{Driver: "ctr-aes-qce", Name: "ctr(aes)", Kind: Skcipher, KeySizes: aesKeys, SoftKeySizes: aesSoft, IV: 16, Block: 1},
	{Driver: "xts-aes-qce", Name: "xts(aes)", Kind: Skcipher, KeySizes: []int{32, 64}, SoftKeySizes: []int{48}, IV: 16, Block: 16},
	{Driver: "ecb-des-qce", Name: "ecb(des)", Kind: Skcipher, KeySizes: []int{8}, Block: 8, Until: weakGone},
	{Driver: "cbc-des-qce", Name: "cbc(des)", Kind: Skcipher, KeySizes: []int{8}, IV: 8, Block: 8, Until: weakGone},
	{Driver: "ecb-3des-qce", Name: "ecb(des3_ede)", Kind: Skcipher, KeySizes: []int{24}, Block: 8, Until: weakGone},
	{Driver: "cbc-3des-qce", Name: "cbc(des3_ede)", Kind: Skcipher, KeySizes: []int{24}, IV: 8, Block: 8, Until: weakGone},

	{Driver: "sha1-qce", Name: "sha1", Kind: Hash, Block: 64, Digest: 20, Until: weakGone},
	{Driver: "sha256-qce", Name: "sha256", Kind: Hash, Block: 64, Digest: 32},
	{Driver: "hmac-sha1-qce", Name: "hmac(sha1)", Kind: Hash, Block: 64, Digest: 20, Keyed: true, Until: weakGone},
	{Driver: "hmac-sha256-qce", Name: "hmac(sha256)", Kind: Hash, Block: 64, Digest: 32, Keyed: true},

	{Driver: "authenc-hmac-sha1-cbc-des-qce", Name: "authenc(hmac(sha1),cbc(des))", Kind: AEAD, KeySizes: []int{8}, IV: 8, Block: 8, TagSizes: sha1Tag, Until: weakGone},
	{Driver: "authenc-hmac-sha1-cbc-3des-qce", Name: "authenc(hmac(sha1),cbc(des3_ede))", Kind: AEAD, KeySizes: []int{24}, IV: 8, Block: 8, TagSizes: sha1Tag, Until: weakGone},
	{Driver: "authenc-hmac-sha256-cbc-des-qce", Name: "authenc(hmac(sha256),cbc(des))", Kind: AEAD, KeySizes: []int{8}, IV: 8, Block: 8, TagSizes: sha2Tag, Until: weakGone},
	{Driver: "authenc-hmac-sha256-cbc-3des-qce", Name: "authenc(hmac(sha256),cbc(des3_ede))", Kind: AEAD, KeySizes: []int{24}, IV: 8, Block: 8, TagSizes: sha2Tag, Until: weakGone},
	{Driver: "authenc-hmac-sha256-cbc-aes-qce", Name: "authenc(hmac(sha256),cbc(aes))", Kind: AEAD, KeySizes: aesKeys, SoftKeySizes: aesSoft, IV: 16, Block: 16, TagSizes: sha2Tag},
	{Driver: "ccm-aes-qce", Name: "ccm(aes)", Kind: AEAD, KeySizes: aesKeys, SoftKeySizes: aesSoft, IV: 16, Block: 1, TagSizes: ccmTag},
	{Driver: "rfc4309-ccm-aes-qce", Name: "rfc4309(ccm(aes))", Kind: AEAD, KeySizes: aesKeys, SoftKeySizes: aesSoft, Salt: 3, IV: 8, Block: 1, TagSizes: ipsecTag},
}

// Engine returns the name under which the device model counts the algorithm
// (trace.Op.Alg): the kernel's generic name with dashes, and CCM for RFC 4309,
// which the engine cannot tell apart.
func (a EngineAlgorithm) Engine() string {
	name := strings.NewReplacer("(", "-", ",", "-", ")", "").Replace(a.Name)
	return strings.TrimPrefix(name, "rfc4309-")
}

// RemovedIn says whether the mainline kernel of that version no longer has the
// algorithm.
func (a EngineAlgorithm) RemovedIn(v Version) bool {
	return a.Until != Version{} && v.Compare(a.Until) >= 0
}

// EngineAlgorithms returns every algorithm that a version of the driver has
// registered, in the driver's order.
func EngineAlgorithms() []EngineAlgorithm { return slices.Clone(engineAlgorithms) }

// RequiredAlgorithms returns those that every version of the driver registers:
// without the ones that were removed, in mainline or by backport.
func RequiredAlgorithms() []EngineAlgorithm {
	return slices.DeleteFunc(EngineAlgorithms(), func(a EngineAlgorithm) bool { return a.Until != Version{} })
}

// AlgorithmByDriver finds an algorithm by its driver name.
func AlgorithmByDriver(driver string) (EngineAlgorithm, bool) {
	i := slices.IndexFunc(engineAlgorithms, func(a EngineAlgorithm) bool { return a.Driver == driver })
	if i < 0 {
		return EngineAlgorithm{}, false
	}
	return engineAlgorithms[i], true
}

// AlgorithmsToTest returns what a suite has to try on the running kernel: the
// algorithms that are registered, and the required ones whether or not they
// are.
func AlgorithmsToTest(registered []Algorithm) []EngineAlgorithm {
	return slices.DeleteFunc(EngineAlgorithms(), func(a EngineAlgorithm) bool {
		present := slices.ContainsFunc(registered, func(r Algorithm) bool { return r.Driver == a.Driver })
		return !present && a.Until != Version{}
	})
}
