#!/bin/bash
# e2e: seconds=40 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# An idle etad uses less than 3 % of a core, with applications attached and connections open; and wakes at once. A DPDK driver that
# cannot wake it must be looked at all the time (every 50 us): there it has to be less than all of a core.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }
# Ticks of user and system time in 4 s, as per cent of a core.
busy() {
    local before
    before=$(ticks)
    sleep 4
    awk -v t=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.1f", t / hz / 4 * 100 }'
}
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

bound=3
case $LAB_PORT in af_packet | af_xdp) bound=70 ;; esac
pid=$("$lab" etad pid)
percent=$(busy)
is "idle, nobody attached: $percent % of a core" below "$percent" $bound
bg echo.out "$lab" eta "$python" "$prog" echo-server 9001
listening kernel 9001
bg keep1.out "$lab" peer "$python" "$prog" waiter recv "$ETA4" 9001
bg keep2.out "$lab" peer "$python" "$prog" waiter recv "$ETA6" 9001
until_true 5 grep -q waiting "$tmp/keep2.out"
percent=$(busy)
is "idle, a server with two connections: $percent % of a core" below "$percent" $bound
start=$EPOCHREALTIME
is "a request wakes it" "$lab" peer "$python" "$prog" rr "$ETA4" 9001 10
took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
is "... at once ($took s with starting the program)" below "$took" 2
finish
