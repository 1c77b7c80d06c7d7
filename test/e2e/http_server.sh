#!/bin/bash
# e2e: seconds=60 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# python3 -m http.server on ETA (a thread for each connection, blocking I/O, stdio on sockets), curl on the peer.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

mkdir "$tmp/www"
head -c $((16 << 20)) /dev/urandom >"$tmp/www/large"
sum=$(sha256sum <"$tmp/www/large")
for round in "0.0.0.0 $ETA4" ":: [$ETA6]"; do
    read -r bind host <<<"$round"
    bg http.out "$lab" eta "$python" -m http.server --bind "$bind" --directory "$tmp/www" 8000
    server=$bg_pid
    listening kernel 8000 || bail "http.server: $(cat "$tmp/http.out")"
    eta_mark
    equal "16 MiB from $host, same sha256" "$("$lab" peer curl -sS -m 20 "http://$host:8000/large" | sha256sum)" "$sum"
    eta_carried "16 MiB from $host" $((16 << 20))
    urls=()
    for ((i = 0; i < 50; i++)); do urls+=(-o /dev/null "http://$host:8000/?$i"); done
    codes=$("$lab" peer curl -sS -m 20 -Z --parallel-max 16 -w '%{http_code}\n' "${urls[@]}" 2>/dev/null | sort | uniq -c | tr -s ' ')
    equal "50 listings, 16 at a time, from $host" "$codes" " 50 200"
    kill "$server"
    wait "$server" 2>/dev/null
done
finish
