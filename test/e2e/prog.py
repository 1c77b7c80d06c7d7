#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Small programs that the end-to-end tests run on either side. `prog.py NAME ARGS...`; each is bounded in time."""
import errno
import hashlib
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import time


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # one write: several processes share the file


def connect(host, port, timeout=10.0):
    s = socket.create_connection((host, int(port)), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def listen(port, family="6", backlog=128):
    """A listener on all addresses; family 6 is dual-stack."""
    s = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == "6":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::" if family == "6" else "0.0.0.0", int(port)))
    s.listen(backlog)
    return s


def recv_all(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise EOFError("connection ended after %d of %d bytes" % (len(data), n))
        data += part
    return data


def json_sum(pattern):
    """Sum of all numbers whose key (or "name" beside "value") matches."""
    def walk(node, key=""):
        if isinstance(node, dict):
            if "name" in node and "value" in node:
                return walk(node["value"], str(node["name"]))
            return sum(walk(v, str(k)) for k, v in node.items())
        if isinstance(node, list):
            return sum(walk(v, key) for v in node)
        if isinstance(node, (int, float)) and not isinstance(node, bool) and re.fullmatch(pattern, key):
            return node
        return 0
    say(int(walk(json.load(sys.stdin))))


def json_len(*path):
    """Rows of the first list found (below the given keys)."""
    node = json.load(sys.stdin)
    for key in path:
        node = node.get(key, []) if isinstance(node, dict) else node
    if isinstance(node, dict):
        lists = [v for v in node.values() if isinstance(v, list)]
        node = lists[0] if lists else []
    say(len(node))


def echo_server(port, family="6"):
    """TCP echo, one epoll loop."""
    master = listen(port, family)
    master.setblocking(False)
    ep = select.epoll()
    ep.register(master, select.EPOLLIN)
    conns = {}
    say("ready")
    while True:
        for fd, _ in ep.poll():
            if fd == master.fileno():
                try:
                    s, _ = master.accept()
                except BlockingIOError:
                    continue
                conns[s.fileno()] = s
                ep.register(s, select.EPOLLIN)
                continue
            s = conns[fd]
            try:
                data = s.recv(65536)
                if data:
                    s.sendall(data)
            except OSError:
                data = b""
            if not data:
                ep.unregister(fd)
                del conns[fd]
                s.close()


def udp_echo(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", int(port)))
    say("ready")
    while True:
        data, addr = s.recvfrom(2048)
        s.sendto(data, addr)


def udp_ask(host, port, n):
    """n numbered datagrams; every answer exactly once."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, int(port)))
    s.settimeout(2)
    for i in range(int(n)):
        s.send(struct.pack("!I", i))
        got = struct.unpack("!I", s.recv(2048))[0]
        if got != i:
            raise SystemExit("answer %d instead of %d: lost or duplicate" % (got, i))
        time.sleep(0.01)
    s.settimeout(0.3)
    try:
        s.recv(2048)
        raise SystemExit("a duplicate answer")
    except socket.timeout:
        say("udp: %s answers, each once" % n)


def long_conn(host, port, stop_file, stall_s="5"):
    """ssh-like: a numbered line every 20 ms on one connection until stop_file appears; no line lost, changed or late."""
    s = connect(host, port)
    s.settimeout(float(stall_s))
    n = 0
    slowest = 0.0
    say("connected")
    while not os.path.exists(stop_file):
        line = b"%08d\n" % n
        start = time.monotonic()
        s.sendall(line)
        if recv_all(s, len(line)) != line:
            raise SystemExit("line %d came back changed" % n)
        slowest = max(slowest, time.monotonic() - start)
        n += 1
        time.sleep(0.02)
    say("lines=%d slowest_ms=%.1f" % (n, slowest * 1000))


def rr(host, port, n, size="64"):
    """n request/responses of changing bytes on one connection."""
    s = connect(host, port)
    size = int(size)
    for i in range(int(n)):
        data = (b"%d:" % i).ljust(size, b"%d" % (i % 10))[:size]
        s.sendall(data)
        if recv_all(s, size) != data:
            raise SystemExit("answer %d differs" % i)
    say("rr=%s" % n)


def source(port, family="6"):
    """Accepts connections and sends on each as fast as it goes until the peer or we die; then prints why."""
    master = listen(port, family)
    say("ready")
    chunk = b"x" * 65536
    while True:
        s, _ = master.accept()
        try:
            while True:
                s.sendall(chunk)
        except OSError as e:
            say("ended", e.errno)
        s.close()


def victim(port, n_conn="4"):
    """An application under load, to be killed: it echoes on accepted connections and says when all are busy."""
    master = listen(port)
    socks = []
    say("ready")
    for _ in range(int(n_conn)):
        s, _ = master.accept()
        s.setblocking(False)
        socks.append(s)
    say("loaded")
    while True:
        for s in select.select(socks, [], [], 5)[0]:
            try:
                data = s.recv(65536)
                if data:
                    s.send(data)
            except BlockingIOError:
                pass


def killers(host, port, n_conn, wait_s="5"):
    """Keeps n_conn connections to a victim busy; prints what each got when the victim died: RST, EOF or timeout."""
    socks = [connect(host, port) for _ in range(int(n_conn))]
    for s in socks:
        s.setblocking(False)
    say("connected")
    end = {}
    deadline = time.monotonic() + float(wait_s)
    chunk = b"y" * 8192
    while len(end) < len(socks) and time.monotonic() < deadline:
        live = [s for s in socks if s not in end]
        for s in select.select(live, live, [], 0.5)[0]:
            try:
                if not s.recv(65536):
                    end[s] = "EOF"
            except ConnectionResetError:
                end[s] = "RST"
            except OSError as e:
                end[s] = "errno%s" % e.errno
        for s in live:
            if s in end:
                continue
            try:
                s.send(chunk)
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                end[s] = "RST"
    result = sorted(end.get(s, "timeout") for s in socks)
    say(" ".join(result))


def prefork_late(port, seconds):
    """Listens, and only after a while forks two workers that accept and answer with their pid, each connection in turn."""
    master = listen(port)
    time.sleep(float(seconds))
    for _ in range(2):
        if os.fork() == 0:
            time.sleep(0.2)  # connections come between fork and accept as well
            while True:
                s, _ = master.accept()
                s.sendall(b"%d\n" % os.getpid())
                s.close()
    os.wait()


def prefork(port, exclusive):
    """Two workers in epoll_wait on one listener. Each says when it is woken, pauses, then accepts and answers with its pid."""
    master = listen(port)
    master.setblocking(False)
    for _ in range(2):
        if os.fork() == 0:
            ep = select.epoll()
            flags = select.EPOLLIN | (select.EPOLLEXCLUSIVE if exclusive == "1" else 0)
            ep.register(master, flags)
            say("worker", os.getpid())
            while True:
                ep.poll()
                say("woken", os.getpid())
                time.sleep(0.3)  # the window in which the test kills us
                try:
                    s, _ = master.accept()
                except BlockingIOError:
                    continue
                s.sendall(b"%d\n" % os.getpid())
                s.close()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def ask_line(host, port, timeout="5"):
    s = connect(host, port, float(timeout))
    s.settimeout(float(timeout))
    say(s.makefile().readline().strip())


def waiter(how, host, port):
    """Waits on a connection in the named way; prints how long the error took after SIGUSR1 set the clock."""
    s = connect(host, port)
    clock = []
    signal.signal(signal.SIGUSR1, lambda *_: clock.append(time.monotonic()))
    say("waiting", os.getpid())
    try:
        if how == "recv":
            s.settimeout(None)
            data = s.recv(1)
        elif how == "spin":
            s.setblocking(False)
            while True:
                try:
                    data = s.recv(1)
                    break
                except BlockingIOError:
                    pass
        elif how == "poll":
            s.setblocking(False)
            p = select.poll()
            p.register(s, select.POLLIN)
            while not p.poll(20000):
                raise SystemExit("no event")
            data = s.recv(1)
        elif how == "epoll":
            s.setblocking(False)
            p = select.epoll()
            p.register(s, select.EPOLLIN)
            if not p.poll(20):
                raise SystemExit("no event")
            data = s.recv(1)
        elif how == "send":
            s.settimeout(None)
            while True:
                s.sendall(b"z" * 65536)
        else:
            raise SystemExit("how? " + how)
        why = "data" if data else "EOF"
    except OSError as e:
        why = "errno=%s" % e.errno
    took = (time.monotonic() - clock[0]) * 1000 if clock else -1
    say("%s ended %s after_ms=%.0f" % (how, why, took))


def sink(port):
    """Accepts and never reads nor writes."""
    master = listen(port)
    keep = []
    say("ready")
    while True:
        keep.append(master.accept()[0])


def staller(port, seconds):
    """Accepts, reads nothing for so long, then everything, and tells its sha256."""
    master = listen(port)
    master.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    say("ready")
    s = master.accept()[0]
    time.sleep(float(seconds))
    got = hashlib.sha256()
    while part := s.recv(1 << 16):
        got.update(part)
    say("got", got.hexdigest())


def pusher(host, port, n):
    """Sends n bytes, as fast as they are taken, then waits for the peer's end. Tells their sha256."""
    s = connect(host, port)
    s.settimeout(120)
    data = os.urandom(int(n))
    start = time.monotonic()
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    if s.recv(1):
        raise SystemExit("data from who should be silent")
    say("sent", hashlib.sha256(data).hexdigest(), "ms=%.0f" % ((time.monotonic() - start) * 1000))


def talker(host, port, user_timeout_ms, go_file):
    """Says something, and once go_file exists something more; then waits for an answer, and tells how that ends."""
    s = connect(host, port)
    if int(user_timeout_ms):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout_ms))
    s.sendall(b"x" * 100)
    say("said")
    while not os.path.exists(go_file):
        time.sleep(0.02)
    start = time.monotonic()
    try:
        s.settimeout(60)
        s.sendall(b"y" * 100)
        how = "data" if s.recv(1) else "EOF"
    except OSError as e:
        how = errno.errorcode.get(e.errno, str(e))
    say("ended %s after_ms=%.0f" % (how, (time.monotonic() - start) * 1000))


def half_close(host, port, n):
    """Sends n bytes, shuts down writing, and then reads the echo to its end."""
    s = connect(host, port)
    n = int(n)
    data = os.urandom(n)
    got = b""
    sent = 0
    s.setblocking(False)
    while True:
        r, w, _ = select.select([s], [s] if sent < n else [], [], 10)
        if not r and not w:
            raise SystemExit("stalled at %d sent, %d echoed" % (sent, len(got)))
        if w:
            sent += s.send(data[sent:sent + 65536])
            if sent == n:
                s.shutdown(socket.SHUT_WR)
        if r:
            part = s.recv(1 << 20)
            if not part:
                break
            got += part
    if got != data:
        raise SystemExit("echoed %d bytes of %d, or others" % (len(got), n))
    say("half-close: %d bytes came back" % n)


def ctl_connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(3)
    s.connect(path)
    return s


ETA_CTL_ATTACH = 1


def ctl_abi(path):
    """ATTACH with an ABI version of the future: the reply has a status, and the version that etad speaks."""
    s = ctl_connect(path)
    s.send(struct.pack("=HHIII", ETA_CTL_ATTACH, 0, 7, 0x7fff0000, 0))
    reply = s.recv(4096)
    kind, status, seq, abi = struct.unpack_from("=HHII", reply)
    if kind != ETA_CTL_ATTACH or seq != 7 or status == 0 or abi in (0, 0x7fff0000):
        raise SystemExit("reply type=%d status=%d seq=%d abi=%#x" % (kind, status, seq, abi))
    say("refused with status %d; etad speaks %#x" % (status, abi))


def ctl_garbage(path, n):
    """Records of every length and content, seeded; etad may answer or hang up."""
    import random
    rnd = random.Random(1)
    for i in range(int(n)):
        s = ctl_connect(path)
        try:
            for _ in range(4):
                head = struct.pack("=HHI", rnd.randrange(0, 16), 0, i) if rnd.random() < 0.8 else b""
                s.send(head + rnd.randbytes(rnd.choice((0, 1, 7, 8, 40, 4096 - len(head), 20000))))
        except OSError:
            pass
        s.close()
    ctl_connect(path).close()


def ctl_silent(path, n):
    """Connections that never say a word, all held at once, then dropped."""
    keep = [ctl_connect(path) for _ in range(int(n))]
    say("%d connections held" % len(keep))


def phases(host, port, n, go_file, df="yes"):
    """n bytes in two halves, the second when the file is there; says their sha256. df=no: IPv4 without DF, routers may cut."""
    import hashlib
    import random
    data = random.Random(7).randbytes(int(n))
    family = socket.getaddrinfo(host, None)[0][0]
    s = socket.socket(family, socket.SOCK_STREAM)
    if df == "no":
        s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT
    s.settimeout(60)
    s.connect((host, int(port)))
    s.sendall(data[:len(data) // 2])
    say("half")
    while not os.path.exists(go_file):
        time.sleep(0.02)
    s.sendall(data[len(data) // 2:])
    s.shutdown(socket.SHUT_WR)
    s.recv(1)
    say("sha256", hashlib.sha256(data).hexdigest())


def digest(port):
    """Takes one connection to its end; says the sha256 of what came."""
    import hashlib
    c, _ = listen(port).accept()
    h = hashlib.sha256()
    while True:
        part = c.recv(65536)
        if not part:
            break
        h.update(part)
    say("sha256", h.hexdigest())
    c.close()


PROGRAMS = {f.__name__.replace("_", "-"): f for f in (
    json_sum, json_len, echo_server, udp_echo, udp_ask, long_conn, rr, source, victim, killers, prefork, prefork_late, ask_line, waiter,
    sink, staller, pusher, talker, half_close, phases, digest, ctl_abi, ctl_garbage, ctl_silent)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.exit("prog.py: one of " + " ".join(sorted(PROGRAMS)))
    signal.alarm(int(os.environ.get("PROG_SECONDS", "600")))
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
