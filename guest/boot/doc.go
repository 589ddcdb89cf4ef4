// Package boot makes an unmodified arm64 kernel find the crypto block where a
// SoC has it.
//
// QEMU presents an out-of-process device as a PCI function, but the bam_dma and
// qce drivers want platform devices at fixed addresses. Two things close the
// gap, and neither needs a change in QEMU or in the kernel:
//
//   - a stub in front of the kernel (Machine.Stub) programs the function's BAR
//     and enables it, then jumps to the real Image;
//   - QEMU's own device tree (DumpDTB) gets nodes for the BAM and the QCE at
//     that address, and its pcie node is disabled (Machine.DTB), so the kernel
//     never sees PCI and nothing claims the window.
//
// All addresses and the interrupt come from the pcie node of the machine in
// use.
package boot
