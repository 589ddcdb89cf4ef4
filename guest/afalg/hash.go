package afalg

import "os"

// maxDigest is the longest digest that the kernel knows.
const maxDigest = 64

// Hash is a hash, or a keyed one.
type Hash struct{ t *transform }

// NewHash opens a hash. The key is nil for one that takes none.
func NewHash(name string, key []byte) (*Hash, error) {
	t, err := open(typeHash, name, key)
	if err != nil {
		return nil, err
	}
	return &Hash{t}, nil
}

// Close releases the algorithm.
func (h *Hash) Close() error { return h.t.close() }

// Sum returns the digest of src. Up to 64 KiB it is one request of the driver;
// the kernel splits what is longer.
func (h *Hash) Sum(src []byte) ([]byte, error) {
	r, err := h.t.begin(0)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.send(false, nil, src); err != nil {
		return nil, err
	}
	return r.digest()
}

// SumChunks returns the digest of src, given to the driver as updates of the
// chunk sizes, which are taken in turn, over and over.
func (h *Hash) SumChunks(src []byte, sizes ...int) ([]byte, error) {
	r, err := h.t.begin(0)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for i := 0; len(src) > 0; i++ {
		n := len(src)
		if len(sizes) > 0 {
			n = min(n, max(1, sizes[i%len(sizes)]))
		}
		if err := r.send(true, nil, src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return r.digest()
}

// Splice returns the digest of the first size bytes of a file, which reach the
// kernel's crypto interface without being copied through this process.
func (h *Hash) Splice(f *os.File, size int) ([]byte, error) {
	r, err := h.t.begin(0)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.splice(f, size); err != nil {
		return nil, err
	}
	return r.digest()
}

// digest ends the message and reads the result.
func (r *request) digest() ([]byte, error) {
	dst := make([]byte, maxDigest)
	n, err := r.receive(dst)
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}
