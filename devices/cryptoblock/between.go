package cryptoblock

// Between calls f while no entry is being made: what f sees or changes belongs
// behind all entries so far, and before all others. f must not call the block.
func (b *Block) Between(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}
