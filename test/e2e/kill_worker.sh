#!/bin/bash
# e2e: seconds=60 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# A worker is killed just after it was woken for a connection, before it accepted: its sibling must get the connection.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

# The kernel itself loses this wake-up with EPOLLEXCLUSIVE, so there the workers wait without.
exclusive=$LAB_HAS_ETAD
one_round() {
    local woken line
    bg prefork.out "$lab" eta "$python" "$prog" prefork 9300 "$exclusive"
    listening kernel 9300 || return 1
    until_true 5 sh -c "[ \$(grep -c worker '$tmp/prefork.out') = 2 ]" || { echo "no workers: $(cat "$tmp/prefork.out")"; return 1; }
    bg ask.out "$lab" peer "$python" "$prog" ask-line "$ETA4" 9300 8
    local ask=$bg_pid
    until_true 5 grep -q woken "$tmp/prefork.out" || { echo "nobody woken"; return 1; }
    woken=$(awk '/^woken/ { print $2; exit }' "$tmp/prefork.out")
    kill -KILL "$woken"
    wait "$ask"
    line=$(tail -n 1 "$tmp/ask.out")
    [[ $line =~ ^[0-9]+$ ]] && [ "$line" != "$woken" ] || { echo "killed $woken; answer: '$line'; $(cat "$tmp/prefork.out")"; return 1; }
    awk '/^worker/ { print $2 }' "$tmp/prefork.out" | xargs kill 2>/dev/null
    until_true 5 sh -c "! '$lab' kernel ss -ltnH 'sport = :9300' | grep -q ."
}
for i in 1 2 3 4 5; do
    is "round $i: the sibling answers" one_round || break
done
finish
