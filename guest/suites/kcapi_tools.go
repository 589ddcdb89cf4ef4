package suites

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

// Debian's kcapi-tools, which are a client of AF_ALG that is not ours.
const (
	kcapiEnc  = "kcapi-enc"
	kcapiDgst = "kcapi-dgst"
)

// toolTimeout is generous: a hung driver is told apart by it, not a slow one.
const toolTimeout = 3 * time.Minute

// tool runs one of the tools and returns what it wrote to its output.
func (r *kcapiRun) tool(stdin []byte, args ...string) ([]byte, error) {
	res, err := r.env.Exec(r.ctx, Command{Args: args, Stdin: stdin, Timeout: toolTimeout})
	switch {
	case err != nil:
		return nil, err
	case res.TimedOut:
		return nil, fmt.Errorf("%s did not end in %v", args[0], toolTimeout)
	case res.Code != 0:
		return nil, fmt.Errorf("%s exited with %d: %s", args[0], res.Code, strings.TrimSpace(string(res.Stderr)))
	}
	return res.Stdout, nil
}

// place is a folder in which the tools work on files.
type place struct{ name, dir string }

// places are memory and the host's shared folder.
func (r *kcapiRun) places() []place {
	if os.MkdirAll(r.env.OutDir, 0o755) != nil {
		return []place{{"memory", r.dir}}
	}
	return []place{{"memory", r.dir}, {"the shared folder", r.env.OutDir}}
}

// cipherTools runs kcapi-enc: on files, with the key given directly, and as a
// filter, with a key that it derives from a password.
func (r *kcapiRun) cipherTools(a EngineAlgorithm) {
	if hasVector(a) {
		r.check("kcapi-enc", a, func(_ *report.Case, t *tally) { r.encVectors(a, t) })
	}
	r.check("kcapi-enc-files", a, func(_ *report.Case, t *tally) {
		key, iv := testKey(a.KeySizes[0]), testIV(a)
		for _, p := range r.places() {
			for _, n := range toolSizes(a) {
				plain := pattern(uint32(n), n)
				sealed, err := refCipher(a.Name, afalg.Encrypt, key, iv, plain)
				if err != nil {
					t.failf("%v", err)
					return
				}
				got, err := r.encFile(a, afalg.Encrypt, p, key, iv, plain)
				t.same(fmt.Sprintf("encrypt a file of %d bytes in %s", n, p.name), got, err, sealed)
				got, err = r.encFile(a, afalg.Decrypt, p, key, iv, sealed)
				t.same(fmt.Sprintf("decrypt a file of %d bytes in %s", n, p.name), got, err, plain)
			}
		}
	})
	if derived := 32; takesKey(a, derived) {
		r.check("kcapi-enc-filter", a, func(_ *report.Case, t *tally) { r.encFilter(a, derived, t) })
	}
}

func hasVector(a EngineAlgorithm) bool {
	return slices.ContainsFunc(cipherVectors, func(v cipherVector) bool { return v.Name == a.Name })
}

// encVectors lets kcapi-enc do the vectors of the standards.
func (r *kcapiRun) encVectors(a EngineAlgorithm, t *tally) {
	in := place{"memory", r.dir}
	for _, v := range cipherVectors {
		if v.Name != a.Name {
			continue
		}
		got, err := r.encFile(a, afalg.Encrypt, in, unhex(v.Key), unhex(v.IV), unhex(v.Plain))
		t.same(v.Source+", encrypt", got, err, unhex(v.Cipher))
		got, err = r.encFile(a, afalg.Decrypt, in, unhex(v.Key), unhex(v.IV), unhex(v.Cipher))
		t.same(v.Source+", decrypt", got, err, unhex(v.Plain))
	}
}

func takesKey(a EngineAlgorithm, size int) bool {
	return slices.Contains(a.KeySizes, size)
}

// toolSizes are the sizes of the files. The tool passes a file on in parts,
// which XTS cannot take.
func toolSizes(a EngineAlgorithm) []int {
	if isXTS(a) {
		return []int{1024, 4096}
	}
	return []int{1024, 1 << 20}
}

// encFile lets kcapi-enc work from a file in p to a file. The key comes by its standard
// input, which is free.
func (r *kcapiRun) encFile(a EngineAlgorithm, d afalg.Direction, p place, key, iv, src []byte) ([]byte, error) {
	// The output always lies in memory: the tool maps it shared and writable,
	// which 9P without a page cache refuses.
	in, out := filepath.Join(p.dir, "in"), filepath.Join(r.dir, "out")
	defer os.Remove(in)
	defer os.Remove(out)
	os.Remove(out)
	if err := os.WriteFile(in, src, 0o600); err != nil {
		return nil, err
	}
	args := []string{kcapiEnc, "--cipher", a.Driver, "--keyfd", "0", "--infile", in, "--outfile", out, "--nounpad"}
	args = append(args, encOptions(d, iv)...)
	if _, err := r.tool(key, args...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func encOptions(d afalg.Direction, iv []byte) []string {
	args := []string{"--encrypt"}
	if d == afalg.Decrypt {
		args = []string{"--decrypt"}
	}
	if len(iv) > 0 {
		args = append(args, "--iv", hex.EncodeToString(iv))
	}
	return args
}

// encFilter lets kcapi-enc work from its input to its output.
func (r *kcapiRun) encFilter(a EngineAlgorithm, keySize int, t *tally) {
	const password, rounds = "not a secret", 2
	salt, iv := pattern(7, 32), testIV(a)
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, keySize)
	if err != nil {
		t.failf("%v", err)
		return
	}
	for _, d := range directions {
		for _, n := range toolSizes(a) {
			src := pattern(uint32(n), n)
			want, err := refCipher(a.Name, d, key, iv, src)
			if err != nil {
				t.failf("%v", err)
				return
			}
			args := []string{kcapiEnc, "--cipher", a.Driver, "--passwd", password, "--salt", hex.EncodeToString(salt),
				"--pbkdfiter", fmt.Sprint(rounds), "--pbkdfmac", "hmac(sha256)", "--nounpad", "--quiet"}
			got, err := r.tool(src, append(args, encOptions(d, iv)...)...)
			t.same(fmt.Sprintf("%v %d bytes as a filter", d, n), got, err, want)
		}
	}
}

// maxToolKey is the longest key that kcapi-dgst takes whole.
const maxToolKey = 64

// hashTools runs kcapi-dgst on files, and without a key as a filter too.
func (r *kcapiRun) hashTools(a EngineAlgorithm) {
	r.check("kcapi-dgst", a, func(_ *report.Case, t *tally) {
		for _, v := range hashVectors {
			if v.Name == a.Name && len(v.Key) <= 2*maxToolKey {
				var key []byte
				if a.Keyed {
					key = unhex(v.Key)
				}
				got, err := r.digestFile(a, place{"memory", r.dir}, key, v.message())
				t.same(v.Source, got, err, unhex(v.Digest))
			}
		}
		if !a.Keyed {
			m := pattern(8, 100000)
			ref, _ := refHash(a.Name, nil)
			ref.Write(m)
			got, err := r.tool(m, kcapiDgst, "--cipher", a.Driver)
			t.same("as a filter", got, err, ref.Sum(nil))
		}
	})
	r.check("kcapi-dgst-files", a, func(_ *report.Case, t *tally) {
		key := hashKey(a)
		for _, p := range r.places() {
			m := pattern(8, 1<<20)
			ref, err := refHash(a.Name, key)
			if err != nil {
				t.failf("%v", err)
				return
			}
			ref.Write(m)
			got, err := r.digestFile(a, p, key, m)
			t.same("a file of 1 MiB in "+p.name, got, err, ref.Sum(nil))
		}
	})
}

func (r *kcapiRun) digestFile(a EngineAlgorithm, p place, key, message []byte) ([]byte, error) {
	in := filepath.Join(p.dir, "in")
	defer os.Remove(in)
	if err := os.WriteFile(in, message, 0o600); err != nil {
		return nil, err
	}
	args := []string{kcapiDgst, "--cipher", a.Driver, "--infile", in}
	if a.Keyed {
		args = append(args, "--keyfd", "0")
	}
	return r.tool(key, args...)
}
