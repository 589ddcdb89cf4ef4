#!/bin/sh
# More of everything: 4 GiB, so that memory lies above 4 GiB too, and 12 CPUs,
# which take a GICv3. The device tree has to be made for the same machine.
#
#   qcemu guest build --shell --memory 4096 --cpus 12 --dir guest-files
#   qcemu serve --socket-path guest-files/block.sock --share guest-files/shared --share-socket guest-files/share.sock &
#   qemu-configs/large.sh guest-files
set -eu
dir=${1:?usage: large.sh FOLDER, as "qcemu guest build --memory 4096 --cpus 12 --dir FOLDER" made it}

# shellcheck disable=SC2086 # QEMU may be several words
exec ${QEMU:-qemu-system-aarch64} \
	-machine virt,gic-version=3,memory-backend=mem \
	-cpu cortex-a72 \
	-smp 12 \
	-m 4096M \
	-object memory-backend-memfd,id=mem,size=4096M,share=on \
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
	-device virtio-rng-device,rng=rng
