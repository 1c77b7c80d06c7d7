#!/bin/bash
# e2e: seconds=90 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# What peers do to a connection: one shuts its window for long, one is rebooted, one is no longer reached. IPv4 and IPv6.
# The window stays shut for 3 s, in full runs for 30.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

stall_s=3
[ "$rounds" -lt 200 ] || stall_s=30
timeout_ms=1500
port=9500

peer_nft() { ip netns exec "$NS_PEER" nft "$@"; }
ended() { grep -q '^ended' "$1"; }
field() { sed -n "s/.*$2=\\([0-9]*\\).*/\\1/p" "$1"; } # FILE KEY

# within DESCRIPTION MS LO HI
within() { is "$1 ($2 ms, $3 to $4)" test -n "$2" -a "${2:-0}" -ge "$3" -a "${2:-0}" -le "$4"; }

shut_window() { # ADDRESS FAMILY
    local bytes=$((4 << 20)) ms
    port=$((port + 1))
    bg "stall-$2.out" "$lab" peer "$python" "$prog" staller $port $stall_s
    listening peer $port || return
    eta_mark
    is "IPv$2: a window shut for $stall_s s opens again, and all goes on" \
        "$lab" eta "$python" "$prog" pusher "$1" $port $bytes || return
    cp "$tmp/is.out" "$tmp/push.out"
    until_true 5 grep -q ^got "$tmp/stall-$2.out"
    equal "IPv$2: the bytes are right" "$(awk '/^got/ { print $2 }' "$tmp/stall-$2.out")" "$(awk '/^sent/ { print $2 }' "$tmp/push.out")"
    ms=$(field "$tmp/push.out" ms)
    # The peer says itself that it has room again; nobody waits for the next probe.
    within "IPv$2: as long as it was shut" "$ms" $((stall_s * 1000 - 500)) $((stall_s * 1000 + 1500))
    eta_carried "IPv$2: over a shut window" $bytes
}

# talk ADDRESS FAMILY TIMEOUT_MS NAME: a talker to a peer that never answers, up to its first word.
talk() {
    port=$((port + 1))
    out=$tmp/$4-$2.out
    bg "sink-$4-$2.out" "$lab" peer "$python" "$prog" sink $port
    sink_pid=$bg_pid
    listening peer $port || return 1
    eta_mark
    bg "$4-$2.out" "$lab" eta "$python" "$prog" talker "$1" $port "$3" "$tmp/go-$4-$2"
    until_true 10 grep -q said "$out"
}

reboot() { # ADDRESS FAMILY
    talk "$1" "$2" 0 reboot || { not_ok "IPv$2: a connection to a peer that will be rebooted"; return; }
    # All that it knew is gone, and nobody is told: what it says in dying is not let out.
    peer_nft add table inet mute
    peer_nft 'add chain inet mute out { type filter hook output priority 0; policy accept; }'
    peer_nft add rule inet mute out tcp sport "$port" drop
    kill -KILL "$sink_pid"
    wait "$sink_pid" 2>/dev/null
    until_true 5 eval "! $lab peer ss -tnaH 'sport = :$port' | grep -q ." || not_ok "the peer forgot its connection"
    peer_nft delete table inet mute
    touch "$tmp/go-reboot-$2"
    until_true 10 ended "$out"
    is "IPv$2: a peer that was rebooted answers by a reset: ECONNRESET" grep -q '^ended ECONNRESET' "$out" || note "$(cat "$out")"
    within "IPv$2: at once" "$(field "$out" after_ms)" 0 500
    eta_carried "IPv$2: the connection to the rebooted peer" 0
}

unreached() { # ADDRESS FAMILY HOW
    talk "$1" "$2" $timeout_ms "$3" || { not_ok "IPv$2: a connection to a peer that will be lost by $3"; return; }
    case $3 in
    blackhole)
        peer_nft add table inet hole
        peer_nft 'add chain inet hole in { type filter hook input priority 0; policy drop; }'
        ;;
    unplugged) ip -n "$NS_PEER" link set eth0 down ;;
    esac
    touch "$tmp/go-$3-$2"
    until_true 20 ended "$out"
    case $3 in
    blackhole) peer_nft delete table inet hole ;;
    unplugged)
        ip -n "$NS_PEER" link set eth0 up
        ip -n "$NS_PEER" addr replace "$PEER4/24" dev eth0
        ip -n "$NS_PEER" addr replace "$PEER6/64" dev eth0 nodad
        until_true 10 "$lab" kernel ping -c 1 -W 1 "$1" || not_ok "the link is back"
        ;;
    esac
    is "IPv$2: $3: ETIMEDOUT" grep -q '^ended ETIMEDOUT' "$out" || note "$(cat "$out")"
    within "IPv$2: $3: when the user's timeout of $timeout_ms ms has passed" "$(field "$out" after_ms)" $((timeout_ms - 100)) $((timeout_ms + 1500))
    eta_carried "IPv$2: $3" 0
}

for family in 4 6; do
    address=$PEER4
    [ $family = 4 ] || address=$PEER6
    shut_window "$address" $family
    reboot "$address" $family
    unreached "$address" $family blackhole
    unreached "$address" $family unplugged
done
finish
