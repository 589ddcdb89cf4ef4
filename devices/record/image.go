package record

// image is what is known of memory, byte for byte. An image may lie on top of
// another one that is not changed any more.
type image struct {
	below *image
	pages map[uint64]*page
}

const (
	pageSize = 4096
	maxPages = 1 << 14 // 64 MiB; what is beyond, an image does not learn
)

type page struct {
	data  [pageSize]byte
	known [pageSize / 8]byte
}

func newImage(below *image) *image { return &image{below: below, pages: map[uint64]*page{}} }

// each calls f for every page that a range touches.
func each(addr uint64, p []byte, f func(number uint64, off int, part []byte)) {
	for len(p) > 0 {
		off := int(addr % pageSize)
		n := min(len(p), pageSize-off)
		f(addr/pageSize, off, p[:n])
		addr += uint64(n)
		p = p[n:]
	}
}

// write makes bytes known.
func (m *image) write(addr uint64, p []byte) {
	each(addr, p, func(number uint64, off int, part []byte) {
		g := m.pages[number]
		if g == nil {
			if len(m.pages) >= maxPages {
				return
			}
			g = &page{}
			if m.below != nil && m.below.pages[number] != nil {
				*g = *m.below.pages[number]
			}
			m.pages[number] = g
		}
		copy(g.data[off:], part)
		for i := off; i < off+len(part); i++ {
			g.known[i/8] |= 1 << (i % 8)
		}
	})
}

// read returns what is known, and 0 for what is not.
func (m *image) read(addr uint64, p []byte) (known bool) {
	known = true
	each(addr, p, func(number uint64, off int, part []byte) {
		g := m.pages[number]
		if g == nil && m.below != nil {
			g = m.below.pages[number]
		}
		if g == nil {
			clear(part)
			known = false
			return
		}
		copy(part, g.data[off:])
		for i := off; i < off+len(part); i++ {
			known = known && g.known[i/8]>>(i%8)&1 == 1
		}
	})
	return known
}
