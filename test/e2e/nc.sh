#!/bin/bash
# e2e: seconds=60 tags=smoke,kernel
# SPDX-License-Identifier: BSD-3-Clause
# nc as server and as client: a line each way, half-close, scan of open and closed ports; both families.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up

# chat SERVER_SIDE CLIENT_SIDE ADDRESS FAMILY: both send a line and both must read the other's.
chat() {
    local side=kernel got
    [ "$1" = peer ] && side=peer
    bg server.out timeout 10 bash -c 'echo from-server | "$@"' - "$lab" "$1" nc "-$4" -l -N 9000
    listening "$side" 9000 || return 1
    got=$(echo from-client | timeout 10 "$lab" "$2" nc "-$4" -N "$3" 9000)
    wait "$bg_pid"
    [ "$got" = from-server ] && [ "$(cat "$tmp/server.out")" = from-client ] ||
        { echo "client read '$got', server read '$(cat "$tmp/server.out")'"; return 1; }
}

is "server on ETA, IPv4" chat eta peer "$ETA4" 4
is "server on ETA, IPv6" chat eta peer "$ETA6" 6
is "client on ETA, IPv4" chat peer eta "$PEER4" 4
is "client on ETA, IPv6" chat peer eta "$PEER6" 6

bg echo.out "$lab" peer "$python" "$prog" echo-server 9001
listening peer 9001
is "half-close: 4 MiB come back after shutdown(SHUT_WR), IPv4" timeout 30 "$lab" eta "$python" "$prog" half-close "$PEER4" 9001 $((4 << 20))
is "half-close: 4 MiB come back after shutdown(SHUT_WR), IPv6" timeout 30 "$lab" eta "$python" "$prog" half-close "$PEER6" 9001 $((4 << 20))
is "an open port is seen open" timeout 5 "$lab" eta nc -z -w 3 "$PEER4" 9001
is "a closed port is seen closed" sh -c "! timeout 5 '$lab' eta nc -z -w 3 '$PEER4' 9002"
bg echo2.out "$lab" eta "$python" "$prog" echo-server 9003
listening kernel 9003
is "1000 small requests to a server on ETA" timeout 20 "$lab" peer "$python" "$prog" rr "$ETA4" 9003 1000
is "half-close with the server on ETA" timeout 30 "$lab" peer "$python" "$prog" half-close "$ETA4" 9003 $((4 << 20))
finish
