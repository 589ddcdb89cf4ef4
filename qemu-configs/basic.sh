#!/bin/sh
# The machine that qcemu itself uses: virt, 1 GiB, 2 CPUs, everything but the
# crypto block on virtio-mmio.
#
#   qcemu guest build --shell --dir guest-files
#   qcemu serve --socket-path guest-files/block.sock --share guest-files/shared --share-socket guest-files/share.sock &
#   qemu-configs/basic.sh guest-files
#
# QCEMU_MEMORY (in MiB) and QCEMU_CPUS in the environment ask for more, as large.sh
# does. What follows the folder is passed on to QEMU.
set -eu
dir=${1:?usage: basic.sh FOLDER, as "qcemu guest build --dir FOLDER" made it}
shift
memory=${QCEMU_MEMORY:-1024}M
cpus=${QCEMU_CPUS:-2}

# shellcheck disable=SC2086 # QEMU may be several words
exec ${QEMU:-qemu-system-aarch64} \
	-machine virt,memory-backend=mem \
	-cpu cortex-a72 \
	-smp "$cpus" \
	-m "$memory" \
	-object "memory-backend-memfd,id=mem,size=$memory,share=on" \
	-nodefaults -no-user-config -display none -serial mon:stdio \
	-kernel "$dir/kernel" \
	-dtb "$dir/guest.dtb" \
	-initrd "$dir/initramfs" \
	-append "console=ttyAMA0 panic=-1" \
	-device "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$dir/block.sock\"},\"addr\":\"4.0\"}" \
	-device virtio-serial-device \
	-chardev "socket,id=share,path=$dir/share.sock" \
	-device virtserialport,chardev=share,name=org.qcemu.share \
	-drive "if=none,id=disk,format=raw,cache=unsafe,file=$dir/disk.img" \
	-device virtio-blk-device,drive=disk,serial=qcemu-disk \
	-object rng-random,id=rng,filename=/dev/urandom \
	-device virtio-rng-device,rng=rng \
	"$@"
