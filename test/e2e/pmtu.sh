#!/bin/bash
# e2e: seconds=90 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# A path narrower than the link: a router between, whose second link becomes narrow while a connection uses it, and fragments that a
# router makes of segments without DF.
#
#   ETA side  eth0 -- 1500 --  eth0 peer (router) far  -- 1500, later 1300 --  near far host
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up
far=mid-$ETA_LAB # the lab's third name: `lab down` takes it away
far4=10.89.7.2 far6=fd89:7::2

make_far() {
    ip netns add "$far" && ip -n "$far" link set lo up &&
        ip -n "$NS_PEER" link add far type veth peer name near netns "$far" &&
        ip netns exec "$far" sysctl -qw net.ipv6.conf.near.accept_dad=0 &&
        ip -n "$NS_PEER" addr add 10.89.7.1/24 dev far && ip -n "$NS_PEER" addr add fd89:7::1/64 dev far nodad &&
        ip -n "$far" addr add "$far4/24" dev near && ip -n "$far" addr add "$far6/64" dev near nodad &&
        ip -n "$NS_PEER" link set far up && ip -n "$far" link set near up &&
        ip -n "$far" route add default via 10.89.7.1 && ip -n "$far" -6 route add default via fd89:7::1 &&
        "$lab" peer sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 &&
        ip -n "$NS_ETA" route add 10.89.7.0/24 via "$PEER4" && ip -n "$NS_ETA" -6 route add fd89:7::/64 via "$PEER6"
}
in_far() { ip netns exec "$far" "$@"; }
far_mtu() { ip -n "$NS_PEER" link set far mtu "$1" && ip -n "$far" link set near mtu "$1"; }
far_listens() { in_far ss -ltnH "sport = :$1" | grep -q .; }
has_said() { grep -q "$2" "$tmp/$1"; }
# Path MTUs that the router has told to somebody.
told() { "$lab" peer cat /proc/net/snmp /proc/net/snmp6 | awk '/^Icmp:/ && !n { n = split($0, k, " "); next }
    /^Icmp:/ { for (i = 2; i <= n; i++) if (k[i] == "OutDestUnreachs") s += $i } /^Icmp6OutPktTooBigs/ { s += $2 } END { print s + 0 }'; }

is "a host behind a router" make_far
is "the far host answers" until_true 10 "$lab" kernel ping -c 1 -W 1 $far4
is "the far host answers by IPv6" until_true 10 "$lab" kernel ping -c 1 -W 1 $far6

# narrow FAMILY ADDRESS PORT: half of the bytes before the path becomes narrow, half after.
narrow() {
    local before got
    far_mtu 1500
    rm -f "$tmp/go"
    bg "digest$3" in_far "$python" "$prog" digest "$3"
    until_true 10 far_listens "$3" || return 1
    bg "phases$3" "$lab" eta "$python" "$prog" phases "$2" "$3" 8000000 "$tmp/go"
    until_true 10 has_said "phases$3" half || return 1
    far_mtu 1300
    before=$(told)
    touch "$tmp/go"
    until_true 20 has_said "phases$3" sha256 || { cat "$tmp/phases$3"; return 1; }
    got=$(($(told) - before))
    echo "the router complained $got times"
    [ "$got" -ge 1 ] && [ "$got" -le 200 ] && diff <(grep sha256 "$tmp/phases$3") <(grep sha256 "$tmp/digest$3")
}

eta_mark
is "IPv4: bytes arrive over a path that became narrow" narrow 4 $far4 9000 && note "$(cat "$tmp/is.out")"
is "IPv6: bytes arrive over a path that became narrow" narrow 6 $far6 9001 && note "$(cat "$tmp/is.out")"
eta_carried "narrow paths" 16000000
[ "$LAB_HAS_ETAD" = 0 ] || equal "each path was learned once" "$(eta_counter icmp_mtu)" 2
# A later connection does not have to find out again.
again() {
    local before
    before=$(told)
    bg digest3 in_far "$python" "$prog" digest 9002
    until_true 10 far_listens 9002 || return 1
    "$lab" eta "$python" "$prog" phases "$far4" 9002 1000000 "$tmp/go" || return 1
    [ "$(told)" = "$before" ] || { echo "the router complained $(($(told) - before)) times"; return 1; }
}
is "the next connection knows the path" again

# --- fragments: the far host sends without DF, and the router's link towards ETA is narrow
fragments() {
    far_mtu 1500
    "$lab" peer ip link set eth0 mtu 1300
    rm -f "$tmp/go"
    touch "$tmp/go"
    bg digest4 "$lab" eta "$python" "$prog" digest 9003
    listening kernel 9003 || return 1
    in_far "$python" "$prog" phases "$ETA4" 9003 2000000 "$tmp/go" no >"$tmp/phases4" || return 1
    until_true 10 has_said digest4 sha256 || return 1
    diff "$tmp/phases4" <(echo half; cat "$tmp/digest4")
}
# A new etad knows no path MTU, from which it would choose the MSS that it offers.
etad_anew() {
    "$lab" etad stop && "$lab" etad start
}

[ "$LAB_HAS_ETAD" = 0 ] || is "etad starts anew" etad_anew
eta_mark
# The far host segments by itself, else the router sees superframes, which it cuts at segments.
in_far ethtool -K near tso off gso off >/dev/null
is "a stream in fragments arrives" fragments
eta_carried "fragments" 2000000
if [ "$LAB_HAS_ETAD" = 1 ]; then
    whole=$(eta_counter frag_whole)
    is "segments were put together ($whole)" test "$whole" -ge 500
    equal "and none was dropped" "$(eta_counter 'frag_drop_.*')" 0
fi
# The kernel's fragments are the kernel's.
"$lab" peer ip link set eth0 mtu 1500
is "the kernel still puts its own together" "$lab" peer ping -c 3 -i 0.2 -W 2 -s 4000 "$ETA4"
finish
