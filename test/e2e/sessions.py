#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One TCP session of each kind between two programs, for a capture to be judged.

sessions.py serve PORT          a server for all of them, one thread a connection
sessions.py KIND HOST PORT      a client, which tells the server by its first line what to do

Kinds: close, bulk, reset, resets, half, urgent, keepalive, zero, zero-back, many. Each ends by itself, or says why not and fails.
"""
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

BULK_BYTES = 1 << 20
ZERO_BYTES = 600000
BUFFER_BYTES = 65536
HOLD_S = 1.5
URGENT = b"!"


def linger_reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def keepalive(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)


def take(s, n):
    """Exactly @n bytes, or to the end if @n is None."""
    got = 0
    while n is None or got < n:
        part = s.recv(BUFFER_BYTES if n is None else min(BUFFER_BYTES, n - got))
        if not part:
            break
        got += len(part)
    if n is not None and got != n:
        raise EOFError(f"{got} of {n} bytes")
    return got


def line_of(s):
    line = b""
    while not line.endswith(b"\n"):
        part = s.recv(1)
        if not part:
            return ""
        line += part
    return line.decode().strip()


def take_urgent(s):
    if not select.select([], [], [s], 20)[2]:
        raise TimeoutError("no urgent byte")
    if s.recv(1, socket.MSG_OOB) != URGENT:
        raise ValueError("another urgent byte")


def wait_reset(s):
    """A reset may be lost: who speaks gets another."""
    s.settimeout(1)
    while True:
        try:
            if not s.recv(1):
                raise ValueError("an end, no reset")
        except (ConnectionResetError, BrokenPipeError):
            return
        except TimeoutError:
            try:
                s.send(b"x")
            except (ConnectionResetError, BrokenPipeError):
                return


def served(s):
    kind = line_of(s)
    if kind in ("close", "many"):
        s.sendall(b"y" * 100)
    elif kind == "bulk":
        s.sendall(os.urandom(BULK_BYTES))
        take(s, BULK_BYTES)
    elif kind == "reset":
        s.sendall(b"y" * 100)
        take(s, None)
    elif kind == "resets":
        linger_reset(s)
    elif kind == "half":
        take(s, None)
        s.sendall(os.urandom(BULK_BYTES // 4))
    elif kind == "urgent":
        take_urgent(s)
        s.sendall(b"y" * 3000)
        s.send(URGENT, socket.MSG_OOB)
        take(s, None)
    elif kind == "keepalive":
        take(s, None)  # only the client probes
    elif kind == "zero":
        time.sleep(HOLD_S)
        take(s, ZERO_BYTES)
        s.sendall(b"y")
    elif kind == "zero-back":
        s.sendall(os.urandom(ZERO_BYTES))
        take(s, None)
    s.close()


def serve(port):
    def one(s):
        try:
            served(s)
        except OSError:
            pass  # the client says what is wrong

    master = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    master.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    master.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    master.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    master.bind(("::", int(port)))
    master.listen(64)
    while True:
        threading.Thread(target=one, args=(master.accept()[0],), daemon=True).start()


def connected(kind, host, port):
    info = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    s = socket.socket(info[0], socket.SOCK_STREAM)
    if kind.startswith("zero"):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    s.settimeout(60)
    s.connect(info[4])
    s.settimeout(None)
    s.sendall(kind.encode() + b"\n")
    return s


def client(kind, host, port):
    s = connected(kind, host, port)
    if kind == "close":
        take(s, 100)
    elif kind == "bulk":
        take(s, BULK_BYTES)
        s.sendall(os.urandom(BULK_BYTES))
        s.shutdown(socket.SHUT_WR)
        take(s, None)
    elif kind == "reset":
        take(s, 100)
        linger_reset(s)
    elif kind == "resets":
        wait_reset(s)
    elif kind == "half":
        s.sendall(b"x" * 5000)
        s.shutdown(socket.SHUT_WR)
        if take(s, None) != BULK_BYTES // 4:
            raise EOFError("half of it")
    elif kind == "urgent":
        s.sendall(b"x" * 3000)
        s.send(URGENT, socket.MSG_OOB)
        take_urgent(s)
    elif kind == "keepalive":
        keepalive(s)
        time.sleep(3.5)
    elif kind == "zero":
        s.sendall(os.urandom(ZERO_BYTES))
        take(s, 1)
    elif kind == "zero-back":
        time.sleep(HOLD_S)
        take(s, ZERO_BYTES)
    elif kind == "many":
        # handshakes side by side
        others = [socket.socket(s.family, socket.SOCK_STREAM) for _ in range(30)]
        for one in others:
            one.setblocking(False)
            one.connect_ex(s.getpeername())
        for one in others:
            select.select([], [one], [], 60)
            one.setblocking(True)
            one.sendall(b"many\n")
        for one in [s] + others:
            take(one, 100)
            one.close()
    else:
        raise SystemExit(__doc__)
    s.close()


if __name__ == "__main__":
    signal.alarm(int(os.environ.get("PROG_SECONDS", "90")))
    if len(sys.argv) == 3 and sys.argv[1] == "serve":
        serve(sys.argv[2])
    elif len(sys.argv) == 4:
        client(*sys.argv[1:])
    else:
        sys.exit(__doc__)
