#!/bin/bash
# e2e: seconds=90 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# What an operator gets wrong: etad says one clear line, exits with an error, and leaves nothing behind. What a stranger sends to
# the control socket does no harm.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up --stopped
etad=$("$lab" bin etad) || bail "etad is built"
sock=$tmp/etad.sock
port='ports = ( { name = "packet:eth0"; } );'
control="control = { socket = \"$sock\"; };"

devices() { "$lab" kernel ip -o link | awk -F': ' '{ print $2 }' | sort; }
devices >"$tmp/devices"
write_conf() { printf '%s\n' "$@" >"$tmp/etad.conf"; }
# start_etad ARGS...: bounded; its output in $tmp/out, its status in $rc.
start_etad() {
    rc=0
    RUNTIME_DIRECTORY=$tmp/dpdk timeout -s KILL 20 "$lab" kernel "$etad" "$@" --foreground >"$tmp/out" 2>&1 </dev/null || rc=$?
}
nothing_left() {
    [ ! -e "$sock" ] || { echo "$sock is left"; return 1; }
    diff "$tmp/devices" <(devices)
}
# refused WHAT WORD: etad just ended with an error, said WORD in its last line and little else, and left nothing.
refused() {
    is "$1: refused (exit $rc)" test "$rc" -ge 1 -a "$rc" -le 3
    is "$1: says so in one line" sh -c "[ \$(wc -l <'$tmp/out') = 1 ] || { cat '$tmp/out'; false; }"
    is "$1: the line names it ($2)" sh -c "grep -Eqi -- '$2' '$tmp/out' || { cat '$tmp/out'; false; }"
    is "$1: nothing left" nothing_left
}
refuse_conf() { # WHAT WORD LINES...
    local what=$1 word=$2
    shift 2
    write_conf "$@"
    start_etad --config "$tmp/etad.conf" --socket "$sock"
    refused "$what" "$word"
}

mkdir "$tmp/dpdk"
refuse_conf "unknown key" 'etad\.conf:3: .*colour' "$port" "$control" 'colour = "blue";'
refuse_conf "unknown key in a group" 'etad\.conf:2: .*colour' "$port" 'tcp = { colour = 1; };'
refuse_conf "wrong type" 'etad\.conf:2: .*cores' "$port" 'cores = "one";'
refuse_conf "out of range" 'etad\.conf:2: .*idle_spin_us' "$port" 'idle_spin_us = -5;'
refuse_conf "not a word of the list" 'etad\.conf:2: .*idle' "$port" 'idle = "sleepy";'
refuse_conf "syntax error" 'etad\.conf:2: ' "$port" 'cores = [ 1;'
refuse_conf "no port" 'port' "$control"
refuse_conf "no such interface" 'nosuch0' 'ports = ( { name = "packet:nosuch0"; } );'
refuse_conf "no such kind of port" 'pigeon' 'ports = ( { name = "pigeon:eth0"; } );'
refuse_conf "no such core" '999' "$port" 'cores = [ 999 ];'
start_etad --config "$tmp/none.conf" --socket "$sock"
refused "no such file" 'none\.conf'
start_etad --colour
is "unknown option: usage, exit 2" test "$rc" = 2

write_conf "$port"
chmod 755 "$tmp"
rc=0
RUNTIME_DIRECTORY=$tmp/dpdk timeout -s KILL 20 "$lab" kernel setpriv --reuid=65534 --regid=65534 --clear-groups "$etad" \
    --config "$tmp/etad.conf" --socket "$sock" --foreground >"$tmp/out" 2>&1 </dev/null || rc=$?
refused "not root" 'root|permission|privilege|CAP_'

# --- beside one that runs
"$lab" etad start || bail "etad starts"
devices >"$tmp/devices"
start_etad --config "$LAB_DIR/etad.conf" --socket "$LAB_SOCKET"
sock=$tmp/none
refused "second etad on the same socket" 'etad\.sock'
is "the first one still answers" "$lab" etactl ping
sock=$tmp/etad.sock
write_conf "$port"
start_etad --config "$tmp/etad.conf" --socket "$sock"
refused "port already taken" 'eth0'
is "the first one still answers" "$lab" etactl ping
eta_pid=$("$lab" etad pid)

# --- strangers at the control socket
is "wrong ABI version: refused, and told ours" "$lab" kernel "$python" "$prog" ctl-abi "$LAB_SOCKET"
is "garbage on the control socket: dropped" "$lab" kernel "$python" "$prog" ctl-garbage "$LAB_SOCKET" 300
is "100 silent connections: harmless" "$lab" kernel "$python" "$prog" ctl-silent "$LAB_SOCKET" 100
equal "etad is the same process" "$("$lab" etad pid)" "$eta_pid"
is "and answers" "$lab" etactl ping
for args in "show" "show nonsense" "nonsense" "--nonsense" ""; do
    # shellcheck disable=SC2086
    "$lab" etactl $args >"$tmp/out" 2>&1 </dev/null
    rc=$?
    is "etactl '$args': an error (exit $rc)" test $rc -ge 1 -a $rc -le 3
done
for what in connections stats sessions routes; do
    is "etactl show $what" "$lab" etactl show $what
    is "etactl show $what --json is JSON" sh -c "'$lab' etactl show $what --json | '$python' -m json.tool"
done

# --- a socket file that a dead etad left does not stop the next
"$lab" etad kill
is "etad starts over the socket of a dead one" "$lab" etad start
is "and ends in order" "$lab" etad stop
is "its socket is gone" test ! -e "$LAB_SOCKET"
finish
