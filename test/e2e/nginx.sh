#!/bin/bash
# e2e: seconds=90 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# nginx on ETA: a master that listens, two workers that accept, reload and a graceful quit under load.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

mkdir -p "$tmp/www" "$tmp/nginx"
head -c $((32 << 20)) /dev/urandom >"$tmp/www/large"
head -c 612 /dev/zero | tr '\0' x >"$tmp/www/small"
chmod -R a+rX "$tmp"
cat >"$tmp/nginx.conf" <<EOF
user root; pid $tmp/nginx/pid; error_log $tmp/nginx/error.log; daemon off; worker_processes 2;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path $tmp/nginx/b; proxy_temp_path $tmp/nginx/p; fastcgi_temp_path $tmp/nginx/f;
 uwsgi_temp_path $tmp/nginx/u; scgi_temp_path $tmp/nginx/s; sendfile on; keepalive_requests 100000;
 server { listen 80; listen [::]:80; root $tmp/www; location = /pid { add_header X-Pid \$pid always; return 200 "\$pid\n"; } } }
EOF
bg nginx.out "$lab" eta nginx -e "$tmp/nginx/error.log" -c "$tmp/nginx.conf"
master=$bg_pid
listening kernel 80 || bail "nginx on ETA: $(cat "$tmp/nginx.out" "$tmp/nginx/error.log")"
get() { "$lab" peer curl -sS -m 10 "$@"; }
until_true 10 get "http://$ETA4/small" || bail "nginx on ETA answers: $(get "http://$ETA4/small" 2>&1)"
sum=$(sha256sum <"$tmp/www/large")

workers() { pgrep -P "$master" | sort | tr '\n' ' '; }
# Every connection anew, and several at a time, so that both workers get their share.
pids_seen() {
    local i urls=()
    for ((i = 0; i < 200; i++)); do urls+=("http://$ETA4/pid?$i"); done
    get -Z --parallel-max 40 -H 'Connection: close' "${urls[@]}" | sort -u | tr '\n' ' '
}
load() { # SECONDS; prints wrk's report; fails on any socket error or status
    timeout 60 "$lab" peer wrk -t1 -c32 -d"$1" "http://$ETA4/small"
}
no_errors() { grep -q 'Requests/sec' "$1" && ! grep -E 'Socket errors: connect [1-9]|timeout [1-9]|Non-2xx' "$1"; }

for host in "$ETA4" "[$ETA6]"; do
    eta_mark
    equal "32 MiB from $host, same sha256" "$(get "http://$host/large" | sha256sum)" "$sum"
    eta_carried "32 MiB to the peer" $((32 << 20))
done
before=$(workers)
equal "two workers" "$(wc -w <<<"$before")" 2
equal "both workers accept" "$(pids_seen)" "$before"

load 3s >"$tmp/wrk.out"
is "keep-alive load on 32 connections without errors" no_errors "$tmp/wrk.out"
note "$(grep Requests/sec "$tmp/wrk.out")"
bg reload.out load 6s
load_pid=$bg_pid
for _ in 1 2 3; do
    sleep 1
    "$lab" eta nginx -e "$tmp/nginx/error.log" -c "$tmp/nginx.conf" -s reload >"$tmp/reload" 2>&1 ||
        not_ok "nginx -s reload: $(cat "$tmp/reload")"
done
wait "$load_pid"
# A reload closes idle keep-alive connections, so wrk may see read errors; it must see no refused connection and no timeout.
is "three reloads under load: no refused connection, no timeout" no_errors "$tmp/reload.out"
workers_new() { local now; now=$(workers); [ "$(wc -w <<<"$now")" = 2 ] && [ "$now" != "$before" ]; }
is "the old workers are gone, two new ones are there" until_true 15 workers_new
equal "both new workers accept" "$(pids_seen)" "$(workers)"

worker=$(workers | cut -d' ' -f1)
kill -KILL "$worker"
is "a worker killed is replaced and serves on" until_true 10 get "http://$ETA4/small"
is "nothing alarming in nginx's log" sh -c "! grep -E '\[(alert|emerg|crit)\]' '$tmp/nginx/error.log' | grep -v 'exited on signal 9' | grep ."
kill -QUIT "$master"
is "graceful end" until_true 10 sh -c "! kill -0 $master 2>/dev/null"
"$lab" peer curl -sS -m 5 "http://$ETA4/small" >/dev/null 2>&1
equal "afterwards the port is closed (curl 7)" $? 7
finish
