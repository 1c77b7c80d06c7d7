#!/bin/bash
# e2e: seconds=30 tags=smoke
# SPDX-License-Identifier: BSD-3-Clause
# eta-run without an etad: the program runs on the kernel, and nobody can tell the difference.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
# The kernel must have the interface: behind a TAP of etad's there is none.
E2E_PORT=packet
lab_up --stopped
run=$("$lab" bin eta-run) || bail "eta-run is built"

bg echo.out "$lab" peer "$python" "$prog" echo-server 9001
listening peer 9001
is "a client works" "$lab" eta "$python" "$prog" rr "$PEER4" 9001 100
bg server.out "$lab" eta "$python" "$prog" echo-server 9002
listening kernel 9002
is "a server works" "$lab" peer "$python" "$prog" rr "$ETA6" 9002 100
equal "nothing is printed besides the program's own output" "$("$lab" eta echo hello 2>&1)" hello
"$lab" eta sh -c 'exit 42'
equal "the exit status is the program's" $? 42
"$lab" eta sh -c 'kill -9 $$' 2>/dev/null
equal "death by a signal stays that" $? 137
"$run" /does/not/exist >"$tmp/out" 2>&1
equal "no such program: 127, as a shell says" $? 127
is "... and one clear line" test "$(wc -l <"$tmp/out")" = 1
"$run" >"$tmp/out" 2>&1
equal "no program at all: usage, exit 2" $? 2
equal "a long pipeline under eta-run" "$("$lab" eta bash -c 'seq 1000 | sort -n | tail -n 1')" 1000
etactl=$("$lab" bin etactl)
"$etactl" --socket "$LAB_SOCKET" ping >"$tmp/out" 2>&1
rc=$?
is "etactl without etad fails (exit $rc)" test $rc -gt 0 -a $rc -lt 126
is "... with one clear line" test "$(wc -l <"$tmp/out")" = 1
finish
