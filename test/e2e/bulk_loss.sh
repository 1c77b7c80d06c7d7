#!/bin/bash
# e2e: seconds=240 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# Bulk transfers through 1 % loss of frames in both directions: slower, but equal sha256.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up --loss 1
# shellcheck source=bulk.inc
. "$here/bulk.inc"
bulk_all $((bytes / 4))
dropped=$(ip netns exec "mid-$ETA_LAB" nft list ruleset | grep -o 'packets [0-9]*' | awk '{ n += $2 } END { print n + 0 }')
is "frames were lost indeed ($dropped)" test "$dropped" -gt 100
finish
