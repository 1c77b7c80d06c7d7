#!/bin/bash
# e2e: seconds=180 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# A second opinion on every byte we send: sessions of each kind, captured at the peer through a lossy path, and read by Wireshark's
# dissector. It must find no error: no wrong checksum or length, no malformed option. What it warns of (losses, resets, shut windows) is
# what the sessions are about.
#
# Both ends fill in checksums and segment before they send: what an offload leaves to the other side of a veth would be seen as wrong.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
command -v tshark >/dev/null || { skip "tshark is not installed (scripts/setup installs it)" "a capture without errors"; finish; }
lab_up --loss 1 --set 'tcp = { ecn = "on"; embryos_source_pct = 1; };'
for side in "$NS_ETA" "$NS_PEER"; do
    ip netns exec "$side" ethtool -K eth0 tx off tso off gso off gro off >/dev/null || bail "offloads of $side are off"
done
ip netns exec "$NS_PEER" sysctl -qw net.ipv4.tcp_ecn=1

pcap=$tmp/all.pcap
bg tcpdump.out "$lab" peer tcpdump -i eth0 -nn -s 0 -B 65536 -Z root -w "$pcap" tcp or ip6 proto 6
tcpdump=$bg_pid
until_true 10 grep -q 'listening on' "$tmp/tcpdump.out" || bail "tcpdump listens"
export PROG_SECONDS=170
bg eta-serve.out "$lab" eta "$python" "$here/sessions.py" serve 7001
bg peer-serve.out "$lab" peer "$python" "$here/sessions.py" serve 7002
listening kernel 7001 && listening peer 7002
eta_mark
ended() { # PID OUT
    wait "$1" || { cat "$2"; return 1; }
}
clients=()
for kind in close bulk reset resets half urgent keepalive zero zero-back many; do
    for at in "peer $ETA4 7001" "peer $ETA6 7001" "eta $PEER4 7002" "eta $PEER6 7002"; do
        read -r side host port <<<"$at"
        bg "$kind-$side-$host.out" "$lab" "$side" "$python" "$here/sessions.py" "$kind" "$host" "$port"
        clients+=("$bg_pid" "$kind-$side-$host.out" "$kind from $side to $host")
    done
    # One kind after the other, its four sessions side by side.
    while [ ${#clients[@]} -gt 0 ]; do
        is "${clients[2]}" ended "${clients[0]}" "$tmp/${clients[1]}"
        clients=("${clients[@]:3}")
    done
done
eta_carried "the sessions" 10000000
kill "$tcpdump"
wait "$tcpdump"
note "$(grep captured "$tmp/tcpdump.out"), $(grep 'dropped by kernel' "$tmp/tcpdump.out")"

# Everything is asked in one pass: what the dissector complains of, and how many segments of ours there are of each kind.
eta="(ip.src==$ETA4 or ipv6.src==$ETA6)"
kinds=("SYNs:20:tcp.flags.syn==1 and tcp.flags.ack==0"
    "SYN-ACKs:20:tcp.flags.syn==1 and tcp.flags.ack==1"
    "IPv4 segments:1000:ip"
    "IPv6 segments:1000:ipv6"
    "FINs:20:tcp.flags.fin==1"
    "resets:2:tcp.flags.reset==1"
    "retransmissions:10:tcp.analysis.retransmission"
    "SACK blocks:10:tcp.options.sack.count>0"
    "urgent pointers:3:tcp.flags.urg==1"
    "keepalive probes:2:tcp.analysis.keep_alive"
    "shut windows:2:tcp.analysis.zero_window"
    "window probes:1:tcp.analysis.zero_window_probe"
    "ECT segments:1000:(ip.dsfield.ecn==2 or ipv6.tclass.ecn==2)")
# What TCP carries here is random: no dissector shall find its protocol in it.
read_it() { # FILE OUT [IO-STAT]
    tshark -r "$1" -d tcp.port==1-65535,data -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -q -z expert,warn ${3:+-z "$3"} >"$tmp/$2" 2>"$tmp/tshark.err"
}
no_error() { # FILE OUT [IO-STAT]
    read_it "$@" || { cat "$tmp/tshark.err"; return 2; }
    ! grep -A 12 '^Errors' "$tmp/$2"
}
stat=io,stat,0
for kind in "${kinds[@]}"; do stat+=",$eta and ${kind#*:*:}"; done
is "no error in the capture" no_error "$pcap" expert.out "$stat"
# The table has a row of frames and bytes for each.
mapfile -t counts < <(sed -n 's/^| *[0-9.]* *<> *[0-9.Dur]* *|//p' "$tmp/expert.out" | tr -d ' ' | tr '|' '\n' | awk 'NR % 2 && NF')
for i in "${!kinds[@]}"; do
    IFS=: read -r what least _ <<<"${kinds[$i]}"
    is "the capture has $what of ETA (${counts[$i]-none})" test "${counts[$i]-0}" -ge "$least"
done
cookies=$(eta_counter TcpExtSyncookiesRecv)
is "handshakes by SYN cookies ($cookies)" test "$cookies" -ge 5

# That it would be noticed: one bit of one segment's last byte.
"$python" - "$pcap" "$tmp/spoilt.pcap" <<'EOF'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at, best = 24, 0
while at < len(data):
    n = struct.unpack_from("<I", data, at + 8)[0]
    if n > 1000:
        best = at + 16 + n - 1
        break
    at += 16 + n
data[best] ^= 1
open(sys.argv[2], "wb").write(data)
EOF
spoilt_is_seen() { ! no_error "$tmp/spoilt.pcap" spoilt.out && grep -q -i checksum "$tmp/spoilt.out"; }
is "a spoilt bit is an error" spoilt_is_seen
sed -n '/^Warns/,/^$/s/^/# /p' "$tmp/expert.out"
finish
