#!/bin/bash
# e2e: seconds=150 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# iperf3 in both roles, both directions, one stream and eight, both families.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

# run_iperf SERVER_SIDE CLIENT_SIDE ADDRESS ARGS...: on the peer or under ETA; prints what the client printed.
run_iperf() {
    local server=$1 client=$2 addr=$3 side=kernel rc
    shift 3
    [ "$server" = peer ] && side=peer
    bg server.out timeout 60 "$lab" "$server" iperf3 -s -1 -p 5201
    listening "$side" 5201 || return 1
    timeout 45 "$lab" "$client" iperf3 -c "$addr" -p 5201 -t 2 -J "$@" >"$tmp/iperf.json"
    rc=$?
    wait "$bg_pid"
    [ "$rc" = 0 ] || { grep '"error"' "$tmp/iperf.json"; return 1; }
    "$python" - "$tmp/iperf.json" <<'PY'
import json, sys
end = json.load(open(sys.argv[1]))["end"]
rx = end["sum_received"]["bytes"]
print("%.2f Gbit/s, %d bytes" % (end["sum_received"]["bits_per_second"] / 1e9, rx))
sys.exit(0 if rx > 1000000 else 1)
PY
}

for args in "" "-R" "-P 8" "-P 8 -R"; do
    for addr in "$ETA4" "$ETA6"; do
        eta_mark
        # shellcheck disable=SC2086
        is "server on ETA, peer to $addr: iperf3 $args" run_iperf eta peer "$addr" $args && note "$(cat "$tmp/is.out")"
        eta_carried "server on ETA $addr $args" 1000000
    done
    for addr in "$PEER4" "$PEER6"; do
        eta_mark
        # shellcheck disable=SC2086
        is "client on ETA to $addr: iperf3 $args" run_iperf peer eta "$addr" $args && note "$(cat "$tmp/is.out")"
        eta_carried "client on ETA $addr $args" 1000000
    done
done
finish
