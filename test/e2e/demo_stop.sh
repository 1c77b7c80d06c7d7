#!/bin/bash
# e2e: seconds=150 tags=slow
# SPDX-License-Identifier: BSD-3-Clause
# Ctrl-C, and an impatient second one, in the middle of scripts/demo: nothing of it stays.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

export TMPDIR=$tmp/demo ETA_DEMO_NO_BUILD=1
[ -n "${ETA_BUILD-}" ] || export ETA_BUILD=$root/build
mkdir "$TMPDIR"

# What there is of the demo $demo: its group's processes, namespaces, mounts, directories.
remains() {
    pgrep -s "$demo" -a
    pgrep -f "/run/eta-lab/demo$demo/" -a
    ip netns list | grep -w ".*-demo$demo"
    grep -w "demo$demo" /proc/mounts
    ls -d "/run/eta-lab/demo$demo" "$TMPDIR"/* 2>/dev/null
}
is_gone() { [ -z "$(remains)" ]; }

# stopped_at LINE SECONDS: SECONDS after the demo has printed LINE.
stopped_at() {
    # Not by bg: bash lets what it starts in the background ignore SIGINT, and a terminal signals the whole group.
    setsid env --default-signal=INT "$root/scripts/demo" --rounds 1 --seconds 1 >"$tmp/demo.out" 2>&1 </dev/null &
    demo=$!
    bg_pids+=("$demo")
    until_true 60 grep -q "$1" "$tmp/demo.out" || { tail -n 5 "$tmp/demo.out"; return 1; }
    sleep "$2"
    kill -INT -- "-$demo"
    sleep 0.2
    kill -INT -- "-$demo" 2>/dev/null
    wait "$demo"
    [ $? = 130 ] || { tail -n 5 "$tmp/demo.out"; return 1; }
    until_true 2 is_gone || { remains; "$lab" --name "demo$demo" down; return 1; }
}

is "while the lab comes up" stopped_at 'two namespaces' 0.3
is "in iperf3" stopped_at 'iperf3, one stream out' 0.8
is "with nginx on the peer" stopped_at 'curl, 256 MiB' 0.5
is "with nginx on ETA" stopped_at 'nginx, 612 B, 32' 0.5
finish
