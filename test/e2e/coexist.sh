#!/bin/bash
# e2e: seconds=120 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# The kernel at the same address: ping, listeners, long-lived connections and UDP live on while ETA carries traffic, and while
# etad starts, stops and dies. Nobody sends a RST, nobody answers twice, the kernel's configuration stays as it was.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up --stopped

etad() { [ "$LAB_HAS_ETAD" = 0 ] || "$lab" etad "$@"; }
is_tap() { [ "$LAB_HAS_ETAD" = 1 ] && [ "$LAB_PORT" != packet ]; }
# What an administrator configures. Devices of etad itself may be there while it runs, and must be gone afterwards. In TAP mode
# eth0 is etad's own: it may turn GRO on.
kernel_config() {
    local own='^$' view='ip addr show eth0; ip addr show lo; ip rule; ip -6 rule; nft list ruleset; ethtool -k eth0; sysctl -a'
    [ "${1-}" = running ] || view+='; ip link'
    is_tap || view+='; ip route; ip -6 route show dev eth0'
    ! is_tap || own='^generic-receive-offload'
    "$lab" kernel bash -c "$view" 2>/dev/null |
        grep -E '^[0-9]+: |^ +(link|inet)|^(table|chain|default)|^10\.|^fd|: (on|off)|^net\.(ipv[46]|core).*\.?(eth0|all|default)\.' |
        grep -v "$own" | sed 's/ qlen [0-9]*//'
}
same_config() { kernel_config "${2-}" >"$tmp/config.now"; diff "$tmp/config.before" "$tmp/config.now"; }

kernel_config >"$tmp/config.before"
kernel_config running >"$tmp/config.running"
is "there is a configuration to compare" test "$(wc -l <"$tmp/config.before")" -gt 20
etad start || bail "etad starts"
is "etad running: the kernel's configuration is as before" diff "$tmp/config.running" <(kernel_config running)

# --- the kernel's own traffic, in both directions, for the length of the test
stall=5
is_tap && stall=20
bg kernel-echo.out "$lab" kernel "$python" "$prog" echo-server 2222
bg peer-echo.out "$lab" peer "$python" "$prog" echo-server 2223
bg udp-echo.out "$lab" kernel "$python" "$prog" udp-echo 5353
listening kernel 2222 && listening peer 2223
long=()
n_long=0
start_long() { # SIDE HOST PORT
    n_long=$((n_long + 1))
    bg "long$n_long.out" "$lab" "$1" "$python" "$prog" long-conn "$2" "$3" "$tmp/stop" $stall
    long+=("$bg_pid")
}
start_long peer "$ETA4" 2222
start_long peer "$ETA6" 2222
start_long kernel "$PEER4" 2223
start_long kernel "$PEER6" 2223
for i in 1 2 3 4; do until_true 5 grep -q connected "$tmp/long$i.out"; done

# --- while ETA works
bg rst.out "$lab" peer timeout 60 tcpdump -i eth0 -nn -l \
    '(tcp[tcpflags] & tcp-rst != 0) or (ip6 and ip6[6] = 6 and ip6[53] & 4 != 0)'
tcpdump=$bg_pid
until_true 5 grep -q 'listening on' "$tmp/rst.out"
bg eta-echo.out "$lab" eta "$python" "$prog" echo-server 9001
listening kernel 9001
eta_mark
bg rr4.out "$lab" peer "$python" "$prog" rr "$ETA4" 9001 30000
rr4=$bg_pid
bg rr6.out "$lab" peer "$python" "$prog" rr "$ETA6" 9001 30000 1000
rr6=$bg_pid
ping_clean() { # HOST
    "$lab" peer ping -n -i 0.02 -c 150 -W 2 "$1" >"$tmp/ping.out" 2>&1
    grep -q ' 150 received' "$tmp/ping.out" && ! grep DUP "$tmp/ping.out" || { tail -n 5 "$tmp/ping.out"; return 1; }
}
is "150 pings answered once each, IPv4" ping_clean "$ETA4"
is "150 pings answered once each, IPv6" ping_clean "$ETA6"
is "ping from the kernel on the ETA side" "$lab" kernel ping -c 5 -i 0.1 -W 2 "$PEER4"
is "UDP to the kernel: every answer once" "$lab" peer "$python" "$prog" udp-ask "$ETA4" 5353 150
is "a new kernel connection inwards" "$lab" peer "$python" "$prog" rr "$ETA4" 2222 100
is "a new kernel connection outwards" "$lab" kernel "$python" "$prog" rr "$PEER6" 2223 100
is "ETA's traffic over IPv4 went on beside it" wait "$rr4"
is "ETA's traffic over IPv6 went on beside it" wait "$rr6"
eta_carried "traffic beside the kernel's" 60000000
kill "$tcpdump"
wait "$tcpdump"
equal "no RST was sent by anybody" "$(grep -c 'Flags \[R' "$tmp/rst.out")" 0
for i in "${!long[@]}"; do
    is "long connection $((i + 1)) lives" kill -0 "${long[$i]}"
done

# --- etad comes and goes under the kernel's traffic
if [ "$LAB_HAS_ETAD" = 1 ]; then
    is "etad stops in order" etad stop
    is "stopped: the kernel's configuration is as before" same_config
    is "etad starts again" etad start
    is "UDP to the kernel" "$lab" peer "$python" "$prog" udp-ask "$ETA4" 5353 20
    is "etad is killed -9" etad kill
    is "killed: the kernel's configuration is as before" same_config
    is_tap || is "killed: ping is answered" ping_clean "$ETA4"
    is "etad starts after the kill" etad start
    is "ping is answered once each" ping_clean "$ETA4"
    bg again.out "$lab" eta "$python" "$prog" echo-server 9002
    listening kernel 9002
    eta_mark
    is "ETA carries again" "$lab" peer "$python" "$prog" rr "$ETA4" 9002 2000
    eta_carried "after the restart" 2000000
fi
touch "$tmp/stop"
for i in "${!long[@]}"; do
    is "long connection $((i + 1)): every line came back" wait "${long[$i]}"
    note "$(tail -n 1 "$tmp/long$((i + 1)).out")"
done
finish
