# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # the tests that source this use the variables
#
# What every end-to-end test needs: a lab of its own, TAP output, cleaning up whatever happens. Sourced, not run.
#
# A test sources this file, calls lab_up, then makes statements with `is`, and ends by `finish`. The runner bounds its time.
# Environment, set by test/e2e/run: E2E_LAB (name of the lab), E2E_PORT (port kind), E2E_BYTES (one bulk transfer),
# E2E_ROUNDS (rounds of a repeated test), ETA_BUILD, ETA_LAB_NO_ETAD (kernel only).
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export ETA_LAB=${E2E_LAB:-e2e-$$}
lab=$root/scripts/lab
prog=$here/prog.py
python=/usr/bin/python3
bytes=${E2E_BYTES:-$((64 << 20))}
rounds=${E2E_ROUNDS:-20}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/eta-e2e.XXXXXX")
n_done=0
n_failed=0
bg_pids=()

# lab_up writes these.
ETA4='' ETA6='' PEER4='' PEER6='' NS_ETA='' NS_PEER='' LAB_DIR='' LAB_SOCKET='' LAB_HAS_ETAD=0 LAB_PORT=''

note() { printf '# %s\n' "$*"; }

cleanup() {
    local pid
    trap '' INT TERM
    trap - EXIT
    for pid in "${bg_pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    if [ "$n_failed" -gt 0 ] && [ -f "$LAB_DIR/etad.log" ]; then
        note "end of etad's log:"
        tail -n 20 "$LAB_DIR/etad.log" | sed 's/^/#   /'
    fi
    "$lab" down
    rm -rf "${tmp:?}"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

finish() {
    printf '1..%d\n' "$n_done"
    [ "$n_failed" = 0 ]
    exit
}

ok() {
    n_done=$((n_done + 1))
    printf 'ok %d - %s\n' "$n_done" "$*"
}

not_ok() {
    n_done=$((n_done + 1))
    n_failed=$((n_failed + 1))
    printf 'not ok %d - %s\n' "$n_done" "$*"
}

# skip REASON DESCRIPTION
skip() {
    n_done=$((n_done + 1))
    printf 'ok %d - %s # SKIP %s\n' "$n_done" "$2" "$1"
}

# is DESCRIPTION CMD...: CMD must succeed; what it printed is shown when it does not.
is() {
    local what=$1 rc=0
    shift
    "$@" >"$tmp/is.out" 2>&1 </dev/null || rc=$?
    if [ $rc = 0 ]; then
        ok "$what"
    else
        not_ok "$what"
        note "exit $rc of: $*"
        tail -n 12 "$tmp/is.out" | sed 's/^/#   /'
    fi
    return $rc
}

# equal DESCRIPTION GOT WANTED
equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        note "got '$2', wanted '$3'"
    fi
}

# The test cannot go on.
bail() {
    not_ok "$*"
    finish
}

lab_up() {
    "$lab" up --port "${E2E_PORT:-packet}" "$@" >"$tmp/up.out" 2>&1 || {
        sed 's/^/#   /' "$tmp/up.out"
        bail "lab up $*"
    }
    eval "$("$lab" env)"
}

# bg LOG CMD...: in the background; its pid in $bg_pid, output in $tmp/LOG. Ended by cleanup at the latest.
bg() {
    local log=$1
    shift
    : >"$tmp/$log" # now, not when the child gets to run
    "$@" >>"$tmp/$log" 2>&1 </dev/null &
    bg_pid=$!
    bg_pids+=("$bg_pid")
}

# until_true SECONDS CMD...: try every 50 ms.
until_true() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# A shadow listener listens in the kernel too, so ss sees ETA's listeners as well.
is_listening() { "$lab" "$1" ss -ltnH "sport = :$2" | grep -q .; }

# listening SIDE PORT: wait until somebody listens there. SIDE is kernel (the ETA side) or peer.
listening() {
    until_true 10 is_listening "$1" "$2" || { not_ok "a listener on port $2 ($1 side)"; return 1; }
}

# --- was it ETA? -------------------------------------------------------------------------------------------------

# Bytes that the kernel's IP on the ETA side received and sent, both families.
kernel_octets() {
    "$lab" kernel cat /proc/net/netstat /proc/net/snmp6 | awk '
        /^IpExt:/ && !n { n = split($0, name, " "); next }
        /^IpExt:/ { for (i = 2; i <= n; i++) if (name[i] ~ /^(In|Out)Octets$/) sum += $i }
        /^Ip6(In|Out)Octets/ { sum += $2 }
        END { printf "%.0f\n", sum }'
}

# Sum of etad's counters whose name matches a regular expression.
eta_counter() { "$lab" etactl show stats --json | "$python" "$here/prog.py" json-sum "$1"; }

# TCP connections that the kernel on the ETA side has opened or accepted, or has now.
kernel_conns() {
    "$lab" kernel cat /proc/net/snmp | awk '
        /^Tcp:/ && !n { n = split($0, name, " "); next }
        /^Tcp:/ { for (i = 2; i <= n; i++) if (name[i] ~ /^(ActiveOpens|PassiveOpens|CurrEstab)$/) sum += $i; print sum }'
}

eta_mark() {
    [ "$LAB_HAS_ETAD" = 1 ] || return 0
    mark_conns=$(kernel_conns)
    mark_octets=$(kernel_octets)
    mark_segs=$(eta_counter 'TcpInSegs|TcpOutSegs')
}

# eta_carried DESCRIPTION BYTES: since eta_mark, etad's segments moved, and the kernel carried less than a tenth of BYTES, or
# had no connection that could have carried any. A program that closes with bytes unread resets its connection; what the peer
# had sent by then comes to no connection, so etad gives it to the kernel, which answers it by resets: megabytes at 64 KiB each.
eta_carried() {
    local octets segs conns
    [ "$LAB_HAS_ETAD" = 1 ] || { skip "no etad" "$1: carried by ETA"; return; }
    octets=$(($(kernel_octets) - mark_octets))
    segs=$(($(eta_counter 'TcpInSegs|TcpOutSegs') - mark_segs))
    conns=$(($(kernel_conns) - mark_conns))
    if [ "$segs" -gt 0 ] && { [ "$octets" -lt $(($2 / 10 + 20000)) ] || [ "$conns" = 0 ]; }; then
        ok "$1: carried by ETA ($segs segments; kernel $octets bytes, $conns connections)"
    else
        not_ok "$1: carried by ETA"
        note "etad counted $segs segments; the kernel carried $octets bytes of $2 on $conns connections"
    fi
}
