#!/bin/sh
# The machine of basic.sh with two virtio-crypto devices more: one on the engine
# itself, by vhost-user, and one on QEMU's built-in back-end.
#
#   qcemu guest build --shell --dir guest-files
#   qcemu serve --socket-path guest-files/block.sock --vhost-user-socket guest-files/crypto.sock \
#       --share guest-files/shared --share-socket guest-files/share.sock &
#   qemu-configs/virtio-crypto.sh guest-files
#
# In the guest: modprobe virtio_crypto. The last three options before the built-in
# device's are all that another guest needs of it; there the device may be
# virtio-crypto-pci, which does not need the first.
set -eu
dir=${1:?usage: virtio-crypto.sh FOLDER, as "qcemu guest build --dir FOLDER" made it}

exec "$(dirname "$0")/basic.sh" "$dir" \
	-global virtio-mmio.force-legacy=false \
	-chardev "socket,id=crypto,path=$dir/crypto.sock,reconnect-ms=500" \
	-object cryptodev-vhost-user,id=engine,chardev=crypto,queues=1 \
	-device virtio-crypto-device,cryptodev=engine \
	-object cryptodev-backend-builtin,id=builtin \
	-device virtio-crypto-device,cryptodev=builtin
