#!/bin/sh
# The crypto block in a virtme-ng guest: your kernel, with the user space of an
# arm64 root folder.
#
#   vng --build --arch arm64 --configitem CONFIG_QCOM_BAM_DMA=y --configitem CONFIG_CRYPTO_DEV_QCE=y
#   qcemu guest build --linux . --driver stock --dir guest-files
#   qcemu serve --socket-path guest-files/block.sock &
#   qemu-configs/virtme-ng.sh guest-files ARM64-ROOT
#
# The kernel given to vng is the one with the boot stub in front. vng's own
# devices are on virtio-mmio for arm64, so that the guest can do without PCI.
# --force-9p: with virtiofs vng would bring a memory backend of its own.
set -eu
dir=${1:?usage: virtme-ng.sh FOLDER ROOT [VNG-ARGUMENT...], FOLDER as "qcemu guest build --dir FOLDER" made it}
root=${2:?usage: virtme-ng.sh FOLDER ROOT [VNG-ARGUMENT...], ROOT with an arm64 user space}
shift 2

exec vng --run "$dir/kernel" --arch arm64 --root "$root" --cpus 2 --memory 1024M \
	--force-9p --disable-microvm --qemu "${QEMU:-qemu-system-aarch64}" "$@" \
	--qemu-opts="-machine virt,memory-backend=mem -object memory-backend-memfd,id=mem,size=1024M,share=on -dtb $dir/guest.dtb -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$dir/block.sock\"},\"addr\":\"4.0\"}'"
