#!/bin/bash
# e2e: seconds=60 tags=smoke,huge
# SPDX-License-Identifier: BSD-3-Clause
# Hugepages or none: etad runs either way and says which; forbidden to use them, it works on ordinary pages; told that it must
# have them where there are none, it refuses.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
vm=/proc/sys/vm
pages=$(($(cat $vm/nr_hugepages) + $(cat $vm/nr_overcommit_hugepages)))
note "this machine has $pages hugepages"

lab_up
bg echo.out "$lab" eta "$python" "$prog" echo-server 9001
listening kernel 9001
eta_mark
is "default settings: it works" "$lab" peer "$python" "$prog" rr "$ETA4" 9001 200
eta_carried "default settings" 0
if [ $pages -gt 0 ]; then
    is "the log says hugepages" grep -qi 'huge' "$LAB_DIR/etad.log"
else
    is "the log says ordinary pages" grep -qiE 'ordinary|no huge' "$LAB_DIR/etad.log"
fi
"$lab" down

lab_up --set 'memory = { hugepages = "no"; };'
bg echo.out "$lab" eta "$python" "$prog" echo-server 9001
listening kernel 9001
eta_mark
is "hugepages = no: it works" "$lab" peer "$python" "$prog" rr "$ETA4" 9001 200
eta_carried "hugepages = no" 0
pid=$("$lab" etad pid)
equal "hugepages = no: none mapped" "$(grep -c 'hugetlb\|anon_hugepage' "/proc/$pid/maps")" 0
is "the log says ordinary pages" grep -qiE 'ordinary|no huge' "$LAB_DIR/etad.log"
"$lab" down

if [ $pages = 0 ]; then
    "$lab" up --set 'memory = { hugepages = "yes"; };' >"$tmp/out" 2>&1
    is "hugepages = yes where there are none: refused" test $? = 1
    is "... and says so" grep -qi huge "$tmp/out"
else
    skip "there are hugepages" "hugepages = yes where there are none"
fi
finish
