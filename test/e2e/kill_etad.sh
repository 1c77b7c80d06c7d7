#!/bin/bash
# e2e: seconds=60 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# kill -9 of etad: every application that waits on a connection, however it waits, gets an error within a second.
# On the kernel alone `ss -K` plays the part.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

kill_it() {
    if [ "$LAB_HAS_ETAD" = 1 ]; then
        "$lab" etad kill
    else
        "$lab" kernel ss -tK "dport = :9400" 2>/dev/null
    fi
}
bg sink.out "$lab" peer "$python" "$prog" sink 9400
listening peer 9400
hows=(recv spin poll epoll send)
pids=()
eta_mark
for how in "${hows[@]}"; do
    bg "wait-$how.out" "$lab" eta "$python" "$prog" waiter "$how" "$PEER4" 9400
    pids+=("$bg_pid")
done
for how in "${hows[@]}"; do
    until_true 10 grep -q waiting "$tmp/wait-$how.out" || not_ok "$how waits"
done
eta_carried "the waiting connections" 0
kill -USR1 "${pids[@]}"
kill_it >/dev/null
gone() { ! kill -0 "$1" 2>/dev/null; }
for i in "${!hows[@]}"; do
    until_true 3 gone "${pids[$i]}"
    line=$(grep ended "$tmp/wait-${hows[$i]}.out")
    ms=${line##*after_ms=}
    is "waiting in ${hows[$i]}: an error within 1 s ($line)" test -n "$ms" -a "${ms:-9999}" -ge 0 -a "${ms:-9999}" -le 1000
    is "${hows[$i]}: an error, not data" grep -Eq 'ended (errno=[0-9]+|EOF)' "$tmp/wait-${hows[$i]}.out"
done
if [ "$LAB_HAS_ETAD" = 1 ]; then
    if [ "$LAB_PORT" = packet ]; then
        is "a program started now runs on the kernel" "$lab" eta nc -z -w 3 "$PEER4" 9400
    else
        skip "the interface went with etad" "a program started now runs on the kernel"
    fi
    is "etad starts again" "$lab" etad start
    eta_mark
    is "and carries" "$lab" eta nc -z -w 3 "$PEER4" 9400
    eta_carried "after the restart" 0
fi
finish
