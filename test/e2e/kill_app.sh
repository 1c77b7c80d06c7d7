#!/bin/bash
# e2e: seconds=120 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# kill -9 of an application under load, again and again: its peers get RST, and etad keeps nothing of it.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

rows() { "$lab" etactl show "$1" --json | "$python" "$prog" json-len; }
is_empty() { [ "$(rows sessions)" = 0 ] && [ "$(rows connections)" = 0 ]; }
all_free() { [ "$LAB_HAS_ETAD" = 0 ] || until_true 3 is_empty; }
# With data unread the kernel resets as well, but a process whose queues happen to be empty ends with FIN there.
allowed='RST'
[ "$LAB_HAS_ETAD" = 1 ] || allowed='RST|EOF'

bg source.out "$lab" peer "$python" "$prog" source 9200
listening peer 9200
server_round() {
    local victim killers
    bg victim.out "$lab" eta "$python" "$prog" victim 9100 4
    victim=$bg_pid
    listening kernel 9100 || return 1
    bg killers.out "$lab" peer "$python" "$prog" killers "$ETA4" 9100 4
    killers=$bg_pid
    until_true 5 grep -q loaded "$tmp/victim.out" || { echo "no load"; return 1; }
    kill -KILL "$victim"
    wait "$victim"
    wait "$killers"
    tail -n 1 "$tmp/killers.out" | grep -Eqx "(($allowed) ?){4}" || { echo "peers got: $(cat "$tmp/killers.out")"; return 1; }
}
client_round() {
    local victim before
    before=$(grep -c ended "$tmp/source.out")
    bg client.out "$lab" eta nc "$PEER4" 9200
    victim=$bg_pid
    until_true 5 test -s "$tmp/client.out" || { echo "no data"; return 1; }
    kill -KILL "$victim"
    wait "$victim"
    until_true 3 sh -c "[ \$(grep -c ended '$tmp/source.out') -gt $before ]" || { echo "the peer did not notice"; return 1; }
    tail -n 1 "$tmp/source.out" | grep -Eq 'ended (104|32)' || { tail -n 1 "$tmp/source.out"; return 1; }
}
for ((i = 1; i <= rounds; i++)); do
    if [ $((i % 2)) = 1 ]; then
        server_round >"$tmp/round.out" 2>&1
    else
        client_round >"$tmp/round.out" 2>&1
    fi || { not_ok "round $i: $(cat "$tmp/round.out")"; break; }
    all_free || { not_ok "round $i: etad keeps $(rows sessions) sessions, $(rows connections) connections"; break; }
done
[ "$i" -le "$rounds" ] || ok "$rounds rounds: peers reset, nothing kept"
finish
