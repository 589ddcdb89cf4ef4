package qce

// XTS is the engine's AES-XTS by itself, without registers and data path: what
// the engine's own work is measured against.
type XTS struct{ x xts }

// NewXTS returns the encryption with a key of 32 or 64 bytes, as the engine
// would do it; the first half is the data key.
func NewXTS(key []byte) *XTS {
	half := len(key) / 2
	c := &XTS{}
	c.x.block, c.x.tweak = newBlock(famAES, key[:half]), newBlock(famAES, key[half:])
	c.x.encrypt, c.x.steal = true, true
	return c
}

// Encrypt encrypts one data unit of whole blocks in place. iv is as the engine
// has it in its registers.
func (c *XTS) Encrypt(p []byte, iv *[16]byte) {
	c.x.init(iv[:])
	c.x.blocks(p)
}
