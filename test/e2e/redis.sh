#!/bin/bash
# e2e: seconds=120 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# redis-server on ETA with redis-benchmark on the peer, then the other way round; both families, pipelining, large values.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

start_redis() { # SIDE
    bg redis.out "$lab" "$1" redis-server --port 6379 --bind '*' '-::*' --protected-mode no --save '' --appendonly no --dir "$tmp"
}
bench() { # SIDE HOST ARGS...
    local side=$1 host=$2
    shift 2
    timeout 60 "$lab" "$side" redis-benchmark -h "$host" -p 6379 --csv "$@" >"$tmp/bench.csv" 2>"$tmp/bench.err" &&
        grep -q '^"[A-Z]' "$tmp/bench.csv" && ! grep -i error "$tmp/bench.err"
}
rates() { note "$(grep -v '^"test"' "$tmp/bench.csv" | cut -d, -f1,2 | tr '\n' ' ')"; }
value_survives() { # SIDE HOST: 8 MiB through SET and GET
    head -c $((8 << 20)) /dev/urandom | base64 -w0 >"$tmp/value"
    timeout 20 "$lab" "$1" redis-cli -h "$2" -x set big <"$tmp/value" | grep -qx OK &&
        [ "$(timeout 20 "$lab" "$1" redis-cli -h "$2" get big | tr -d '\n' | sha256sum)" = "$(sha256sum <"$tmp/value")" ]
}

for round in "eta peer $ETA4 $ETA6" "peer eta $PEER4 $PEER6"; do
    read -r server client addr4 addr6 <<<"$round"
    side=kernel
    [ "$server" = peer ] && side=peer
    start_redis "$server"
    redis=$bg_pid
    listening "$side" 6379 || bail "redis on $server: $(cat "$tmp/redis.out")"
    until_true 10 "$lab" "$client" redis-cli -h "$addr4" ping
    for addr in $addr4 $addr6; do
        eta_mark
        is "server on $server, $addr: SET, GET, LRANGE on 50 connections" bench "$client" "$addr" -n 20000 -c 50 -t set,get,lrange_100 && rates
        is "server on $server, $addr: pipeline of 16" bench "$client" "$addr" -n 100000 -c 50 -P 16 -t set,get && rates
        is "server on $server, $addr: one connection" bench "$client" "$addr" -n 5000 -c 1 -t get && rates
        eta_carried "redis on $server, $addr" 1000000
    done
    is "server on $server: a value of 8 MiB comes back whole" value_survives "$client" "$addr4"
    is "server on $server: a new connection for each request" bench "$client" "$addr4" -n 2000 -c 10 -k 0 -t get
    kill "$redis"
    wait "$redis"
done
finish
