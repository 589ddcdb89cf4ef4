package qce

// Backlog is how many bytes of input wait to be transformed.
func (e *Engine) Backlog() int { return e.fill - e.done }
