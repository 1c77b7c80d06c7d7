#!/bin/bash
# e2e: seconds=90 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# A hostile application writes garbage to every word it can reach: etad lives, its neighbour's connection loses no byte, and
# nothing of the intruder is kept. The sanitized etad goes through the same ($ETA_LAB_ETAD).
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
seed=${E2E_SEED:-$RANDOM}
seconds=15
hostile=$("$lab" bin hostile) || bail "test/fuzz/hostile is built"
lab_up
pid=$("$lab" etad pid)

bg echo.out "$lab" eta "$python" "$prog" echo-server 9001
bg peer-echo.out "$lab" peer "$python" "$prog" echo-server 9500
listening kernel 9001 && listening peer 9500
bg long.out "$lab" peer "$python" "$prog" long-conn "$ETA4" 9001 "$tmp/stop"
long=$bg_pid
until_true 5 grep -q connected "$tmp/long.out"
note "seed $seed (again: E2E_SEED=$seed test/e2e/run hostile)"
is "$seconds s of hostility; etad takes sessions afterwards" timeout $((seconds + 30)) \
    "$lab" kernel "$hostile" --socket "$LAB_SOCKET" --seconds "$seconds" --seed "$seed" --peer "$PEER4" 9500 &&
    note "$(tail -n 1 "$tmp/is.out")"
equal "etad is the same process" "$("$lab" etad pid)" "$pid"
is "etad answers" "$lab" etactl ping
# Counted from here: what comes for the intruder's dead connections is the kernel's to refuse.
eta_mark
is "a new connection of the neighbour" "$lab" peer "$python" "$prog" rr "$ETA6" 9001 2000
eta_carried "the neighbour" 300000
touch "$tmp/stop"
is "the neighbour's connection lost nothing" wait "$long"
note "$(tail -n 1 "$tmp/long.out")"
one_session() { [ "$("$lab" etactl show sessions --json | "$python" "$prog" json-len)" = 1 ]; }
is "only the neighbour's session is left" until_true 5 one_session || "$lab" etactl show sessions | sed 's/^/# /'
is "no report of a sanitizer" sh -c "! grep -E 'Sanitizer|runtime error' '$LAB_DIR/etad.log'"
finish
