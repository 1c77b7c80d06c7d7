#!/bin/bash
# e2e: seconds=30 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# A parent that listens and never accepts: connections that come before its workers are up, or were forked, are served by them.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

bg late.out "$lab" eta "$python" "$prog" prefork-late 9310 1
listening kernel 9310 || bail "no listener: $(cat "$tmp/late.out")"
pids=()
logs=()
eta_mark
for i in 1 2 3 4 5 6 7 8; do
    bg "ask$i" timeout 10 "$lab" peer "$python" "$prog" ask-line "$ETA4" 9310 8
    pids+=("$bg_pid")
    logs+=("$tmp/ask$i")
done
for pid in "${pids[@]}"; do wait "$pid"; done
equal "connections that were there before the workers" "$(cat "${logs[@]}" | grep -cE '^[0-9]+$')" 8
eta_carried "they" 100000
finish
