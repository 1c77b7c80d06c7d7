#!/bin/bash
# e2e: seconds=400 tags=
# SPDX-License-Identifier: BSD-3-Clause
# Socket calls and options as the kernel has them: each conformance program on the kernel and on ETA, outputs compared, over IPv4 and IPv6.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

for six in '' --6; do
    # shellcheck disable=SC2086
    "$root/test/sock/run" --name "$ETA_LAB" $six >"$tmp/run.out" 2>&1 </dev/null
    rc=$?
    while read -r word text; do
        case $word in
        ok) ok "${six:-ipv4} $text" ;;
        FAIL) not_ok "${six:-ipv4} $text" ;;
        *) note "$word $text" ;;
        esac
    done <"$tmp/run.out"
    equal "${six:-ipv4}: exit" $rc 0
done
finish
