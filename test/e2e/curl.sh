#!/bin/bash
# e2e: seconds=60 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# curl on ETA against nginx on the Linux peer: small and large bodies, upload, parallel, refused and unanswered connections.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

mkdir -p "$tmp/www" "$tmp/nginx"
head -c $((32 << 20)) /dev/urandom >"$tmp/www/large"
echo hello >"$tmp/www/small"
chmod -R a+rX "$tmp"
cat >"$tmp/nginx.conf" <<EOF
pid $tmp/nginx/pid; error_log $tmp/nginx/error.log; daemon off; worker_processes 1;
events { worker_connections 512; }
http { access_log off; client_body_temp_path $tmp/nginx/b; proxy_temp_path $tmp/nginx/p; fastcgi_temp_path $tmp/nginx/f;
 uwsgi_temp_path $tmp/nginx/u; scgi_temp_path $tmp/nginx/s; client_max_body_size 100m;
 server { listen 80; listen [::]:80; root $tmp/www;
  location = /upload { client_body_buffer_size 64m; client_body_in_file_only on; proxy_pass http://127.0.0.1:80/small; proxy_set_body off; } } }
EOF
bg nginx.out "$lab" peer nginx -e "$tmp/nginx/error.log" -c "$tmp/nginx.conf"
listening peer 80 || bail "nginx on the peer: $(cat "$tmp/nginx.out" "$tmp/nginx/error.log")"
sum=$(sha256sum <"$tmp/www/large")

fetch_sum() { timeout 30 "$lab" eta curl -sS -m 20 "$1" | sha256sum; }

many() {
    local url=$1 i urls=()
    for ((i = 0; i < 100; i++)); do urls+=(-o /dev/null "$url?$i"); done
    timeout 30 "$lab" eta curl -sS -m 20 -w '%{http_code}\n' "${@:2}" "${urls[@]}" | sort | uniq -c | grep -qx ' *100 200'
}

for host in "$PEER4" "[$PEER6]"; do
    eta_mark
    equal "small body from $host" "$("$lab" eta curl -sS -m 10 "http://$host/small")" hello
    equal "32 MiB from $host, same sha256" "$(fetch_sum "http://$host/large")" "$sum"
    eta_carried "32 MiB from $host" $((32 << 20))
    is "100 requests on one connection to $host" many "http://$host/small"
    is "100 requests on 20 connections to $host" many "http://$host/small" -Z --parallel-max 20
    is "100 connections one after another to $host" many "http://$host/small" -H 'Connection: close'
    is "upload of 32 MiB to $host" timeout 30 "$lab" eta curl -sS -m 20 -o /dev/null --data-binary "@$tmp/www/large" "http://$host/upload"
    "$lab" eta curl -sS -m 5 "http://$host:81/" >/dev/null 2>"$tmp/err"
    equal "a closed port at $host is refused (curl 7)" $? 7
done
uploaded=$(find "$tmp/nginx/b" -type f -exec sha256sum {} + | awk -v s="${sum%% *}" '$1 == s' | wc -l)
equal "both uploads arrived whole" "$uploaded" 2
# No neighbour answers at this address: the kernel says EHOSTUNREACH after 3 s, and so must ETA, or curl's own limit ends it.
"$lab" eta curl -sS -m 5 "http://${PEER4%.*}.77/" >/dev/null 2>"$tmp/err"
rc=$?
is "nobody at the address: an error within the limit (curl $rc)" test $rc = 7 -o $rc = 28
finish
