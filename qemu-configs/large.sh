#!/bin/sh
# The machine of basic.sh with more of everything: 4 GiB, so that memory lies above
# 4 GiB too, and 12 CPUs, for which QEMU takes a GICv3. The device tree has to be made
# for the same machine.
#
#   qcemu guest build --shell --memory 4096 --cpus 12 --dir guest-files
#   qcemu serve --socket-path guest-files/block.sock --share guest-files/shared --share-socket guest-files/share.sock &
#   qemu-configs/large.sh guest-files
set -eu
: "${1:?usage: large.sh FOLDER, as \"qcemu guest build --memory 4096 --cpus 12 --dir FOLDER\" made it}"

export QCEMU_MEMORY=4096 QCEMU_CPUS=12
exec "$(dirname "$0")/basic.sh" "$@"
