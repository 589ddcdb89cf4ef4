package vm

// PID is QEMU's process.
func (v *VM) PID() int { return v.cmd.Process.Pid }
