#!/bin/bash
# e2e: seconds=120 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# etactl get and set: what is set counts for the next connection, and a mistake gets one line that says what is allowed, exit 1, and
# changes nothing.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

etactl() { "$lab" etactl "$@"; }
says() { grep -qF -- "$1" "$tmp/err" || { cat "$tmp/err"; false; }; }
# refused WORD ARGS...: `etactl ARGS` says one line with WORD in it, nothing else, and exits with 1.
refused() {
    local word=$1 rc=0
    shift
    etactl "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || rc=$?
    equal "$*: exit 1" $rc 1
    is "$*: one line" sh -c "[ \$(wc -l <'$tmp/err') = 1 ] && [ ! -s '$tmp/out' ] || { cat '$tmp/err' '$tmp/out'; false; }"
    is "$*: it says $word" says "$word"
}
# What a new connection has: TIMESTAMPS (0 or 1) and its congestion control.
connection() {
    "$lab" eta "$python" -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 9002))
print(s.getsockopt(6, 11, 8)[5] & 1, s.getsockopt(6, 13, 16).strip(b"\0").decode())' "$PEER4"
}

bg echo.out "$lab" peer "$python" "$prog" echo-server 9002
listening peer 9002

etactl get >"$tmp/all"
is "get: every setting has a value" sh -c "[ \$(wc -l <'$tmp/all') -ge 20 ] && ! grep -Ev '^tcp\.[a-z0-9_]+ [a-z0-9]+( [a-z]+)?\$' '$tmp/all'"
is "get: no secrets" sh -c "! grep key '$tmp/all'"
equal "get one" "$(etactl get tcp.timestamps)" "tcp.timestamps on"
equal "a connection before" "$(connection)" "1 cubic"
equal "set a switch" "$(etactl set tcp.timestamps off)" "tcp.timestamps off"
equal "set a word" "$(etactl set tcp.congestion_control reno)" "tcp.congestion_control reno"
equal "set a number" "$(etactl set tcp.notsent_lowat 16384)" "tcp.notsent_lowat 16384 bytes"
equal "a connection after" "$(connection)" "0 reno"
bg deaf.out "$lab" peer "$python" -c '
import socket, time
s = socket.create_server(("", 9003))
print("listening", flush=True)
time.sleep(60)'
until_true 5 grep -q listening "$tmp/deaf.out"
# What waits unsent when a peer reads nothing and no more is taken.
unsent=$("$lab" eta "$python" -c '
import fcntl, select, socket, struct, sys
s = socket.create_connection((sys.argv[1], 9003))
s.setblocking(False)
while select.select([], [s], [], 0.3)[1]:
    try:
        while s.send(bytes(65536)):
            pass
    except BlockingIOError:
        pass
print(struct.unpack("i", fcntl.ioctl(s, 0x894B, bytes(4)))[0])' "$PEER4")
is "no more than tcp.notsent_lowat waits unsent ($unsent bytes)" test "$unsent" -gt 8000 -a "$unsent" -le 16384
etactl get >"$tmp/before"

refused "no setting 'tcp.colour'" set tcp.colour blue
refused "no setting 'tcp.colour'" get tcp.colour
refused "no setting 'timestamps'" set timestamps on
refused "tcp.ecn takes one of: off on accept, not 'sometimes'" set tcp.ecn sometimes
refused "not '1'" set tcp.ecn 1
refused "not 'on off'" set tcp.ecn "on off"
refused "not 'ON'" set tcp.ecn ON
refused "not ''" set tcp.ecn ""
refused "tcp.retries takes 1 to 127, not '0'" set tcp.retries 0
refused "not '128'" set tcp.retries 128
refused "not '-1'" set tcp.retries -1
refused "not '--json'" set tcp.retries --json
refused "not '5.5'" set tcp.retries 5.5
refused "not '0x10'" set tcp.retries 0x10
refused "not '4294967301'" set tcp.retries 4294967301
refused "tcp.rto_us_min takes 1000 to 10000000 us, not '999'" set tcp.rto_us_min 999
refused "not 'many'" set tcp.notsent_lowat many
for args in "set" "set tcp.ecn" "set tcp.ecn on off" "get tcp.ecn tcp.sack" "get --json"; do
    # shellcheck disable=SC2086
    etactl $args >"$tmp/out" 2>&1 </dev/null
    equal "etactl $args: usage, exit 2" $? 2
done
etactl get >"$tmp/after"
is "no mistake has changed anything" diff "$tmp/before" "$tmp/after"

# --- where the kernel's settings count
"$lab" etad stop
echo 'tcp = { sysctl = "mirror"; };' >>"$LAB_DIR/etad.conf"
is "etad starts with tcp.sysctl = mirror" "$lab" etad start
refused "tcp.sysctl" set tcp.timestamps off
"$lab" kernel sysctl -qw net.ipv4.tcp_timestamps=0
equal "the kernel's counts" "$(connection)" "0 $("$lab" kernel sysctl -n net.ipv4.tcp_congestion_control | sed 's/^\(reno\|bbr\|dctcp\)$/\1/; t; s/.*/cubic/')"
finish
