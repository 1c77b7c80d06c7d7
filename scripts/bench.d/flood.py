# SPDX-License-Identifier: BSD-3-Clause
"""
What a SYN flood over a veth costs those who have nothing to do with it.

One program's connections, begun before the flood and going on during it, in three parts of the same length: quiet; with the flood made but sent to the
peer's own loopback, where it is lost (making it costs the same CPU); with the flood. The program's counts are read while it runs (--tally). The flood's
sources are routed to the peer, who drops the answers before its own stack looks at them, as who is attacked answers others than who attacks; nothing
leaves the lab.

What must not grow is looked at in the flooded part: etad's memory, contexts and embryos, frames handed up to the kernel, and frames the kernel has seen.
"""
import json
import mmap
import os
import struct
import time

from measure import MeasureError, difference, flat

PER_S = 100000
SOURCES = {"v4": "198.18.0.0/15", "v6": "2001:2::/48"} # as test/lib/flood.c makes them
WARM_S = 0.5    # a part begins so long after its flood: embryos have run out, windows have settled
KERNEL_PER_S_MAX = 200      # of a SYN flood the engine leaves CORE_FALLBACK_PER_S SYNs to the kernel, and there is what is nobody's flood
MEMORY_GROWN_MAX = 2 << 20  # bytes: one huge page
TALLY = struct.Struct("=QQ") # bytes, requests


def _memory_bytes(pid):
    """What a process has in memory, huge pages included."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith(("Rss:", "Shared_Hugetlb:", "Private_Hugetlb:")):
                total += int(line.split()[1]) * 1024
    return total


def _kernel_counters(lab):
    """Counters of the kernel on ETA's side, by name."""
    out = {}
    for line in lab.ask("kernel", "nstat", "-asz").splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[1].isdigit():
            out[fields[0]] = int(fields[1])
    return out


class Flood:
    """One run: a server on ETA's side, its client and the flood at the peer."""

    def __init__(self, bench, lab, case, variant):
        self.bench, self.lab, self.case, self.variant = bench, lab, case, variant
        self.family = case.options[0]
        self.pid = lab.etad_pid() if variant.is_eta else 0
        self.tally_path = os.path.join(lab.vars["LAB_DIR"], "tally")
        self.tally, self.mac = None, ""

    def _prepare(self):
        self.mac = json.loads(self.lab.ask("kernel", "ip", "-j", "link", "show", "eth0"))[0]["address"]
        for family, net in SOURCES.items():
            self.lab.ask("kernel", "ip", f"-{family[-1]}", "route", "replace", net, "via", self.lab.address("peer", family))
        self.lab.ask("peer", "nft", "add table netdev flood\ndelete table netdev flood\ntable netdev flood {\n chain answers {\n type filter hook ingress "
                     f"device eth0 priority 0\n ip daddr {SOURCES['v4']} drop\n ip6 daddr {SOURCES['v6']} drop\n }}\n}}\n")

    def _program(self, side, program, role, seconds):
        bench, lab, case = self.bench, self.lab, self.case
        argv = bench.argv_of(program, case.mode, lab, case, self.variant.cpus, role, seconds, lab.address("eta", self.family))
        # Whose progress is measured: of a stream what the server has, of the others what the client was answered.
        if (role == "server") == (case.mode == "stream"):
            argv += ["--tally", self.tally_path]
        return bench.start(lab, side, argv)

    def _sender(self, is_lost, seconds):
        """The flood, or one that goes nowhere."""
        argv = ["taskset", "-c", ",".join(str(self.bench.cpus[i]) for i in self.variant.cpus or (0, 1))]
        argv += [os.path.join(self.bench.build, "test", "bench", "syn_flood"), "--dev", "lo" if is_lost else "eth0", "--mac",
                "02:00:00:00:00:01" if is_lost else self.mac, "--addr", self.lab.address("eta", self.family), "--port",
                str(self.bench.tcp_port), "--per-s", str(PER_S), "--seconds", f"{seconds:g}", "--seed", str(self.bench.tcp_port)]
        proc = self.bench.start(self.lab, "peer", argv)
        if proc.stdout.readline().strip() != "flooding":
            self.bench.result_of(proc, 1, "syn_flood")
            raise MeasureError("no flood")
        return proc

    def _look(self, is_whole):
        """Time and progress, then what should stay as it is; that takes a while."""
        bytes_n, done = TALLY.unpack(self.tally[:TALLY.size])
        seen = {"at": time.monotonic(), "progress": bytes_n * 8e-9 if self.case.mode == "stream" else done}
        if is_whole:
            seen["kernel"] = _kernel_counters(self.lab)
        if is_whole and self.pid:
            seen["stats"] = flat(self.lab.show("stats"))
            seen["memory"] = _memory_bytes(self.pid)
        return seen

    def _part(self, flood):
        """Rate of one part, and what was seen at both of its ends. @flood: None, "made", "flooded"."""
        seconds = self.bench.seconds
        # Looking takes a while; the flood lasts until it is told to end.
        proc = self._sender(flood == "made", seconds + WARM_S + 5) if flood else None
        time.sleep(WARM_S)
        before = self._look(flood == "flooded")
        time.sleep(max(0.0, seconds - (time.monotonic() - before["at"])))
        after = self._look(flood == "flooded")
        sent = self.bench.result_of(proc, 5, "syn_flood") if proc else None
        return (after["progress"] - before["progress"]) / (after["at"] - before["at"]), before, after, sent

    def run(self):
        """All three parts with one program. Return: what Bench.measure() returns."""
        bench, lab = self.bench, self.lab
        self._prepare()
        if os.path.exists(self.tally_path):
            os.unlink(self.tally_path)
        # the looks, starting the senders, and time to get going
        life_s = 3 * (bench.seconds + WARM_S) + 5
        server = self._program(self.variant.side, self.variant.program, "server", life_s + 1)
        deadline = time.monotonic() + 5
        while not lab.is_listening(self.variant.side, bench.tcp_port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise MeasureError("server does not listen")
        client = self._program("peer", "sock_bench", "client", life_s)
        deadline = time.monotonic() + 5
        while not os.path.exists(self.tally_path) or os.path.getsize(self.tally_path) < TALLY.size:
            if client.poll() is not None or time.monotonic() > deadline:
                raise MeasureError("no tally")
            time.sleep(0.01)
        with open(self.tally_path, "rb") as f:
            self.tally = mmap.mmap(f.fileno(), TALLY.size, access=mmap.ACCESS_READ)
        parts = {name: self._part(name) for name in (None, "made", "flooded")}
        if client.poll() is not None or server.poll() is not None:
            raise MeasureError("the program ended before the flood")
        result = bench.result_of(client, life_s + 14, "client")
        bench.result_of(server, life_s + 14, "server")
        return self._judge(parts, result)

    def _judge(self, parts, result):
        rate, before, after, sent = parts["flooded"]
        quiet, made, seconds = parts[None][0], parts["made"][0], after["at"] - before["at"]
        if sent["per_s"] < 0.5 * PER_S:
            raise MeasureError(f"only {sent['per_s']} SYNs a second")
        run = {"value": rate, "seconds": seconds, "quiet": quiet, "made": made, "failed": result["failed"], "flood_per_s": sent["per_s"],
               "kept": rate / quiet, "kept_of_made": rate / made}
        kernel = difference(before["kernel"], after["kernel"])
        # what the kernel has seen of it: with etad, what etad handed up, or what its filter let through
        run["kernel_segments_per_s"] = round(kernel.get("TcpInSegs", 0) / seconds)
        cookies = kernel.get("TcpExtSyncookiesSent", 0)
        if self.pid:
            delta = difference(before["stats"], after["stats"])
            cookies = delta["TcpExtSyncookiesSent"]
            run["punted_per_s"] = round(delta["punt_up"] / seconds)
            run["memory_grown_bytes"] = after["memory"] - before["memory"]
            run["stats"] = {k: v for k, v in delta.items() if v}
        run["cookies_per_s"] = round(cookies / seconds)
        if self.pid and (run["punted_per_s"] > KERNEL_PER_S_MAX or run["kernel_segments_per_s"] > KERNEL_PER_S_MAX):
            raise MeasureError(f"{run['punted_per_s']} frames a second handed up, {run['kernel_segments_per_s']} seen by the kernel")
        if self.pid and run["memory_grown_bytes"] > MEMORY_GROWN_MAX:
            raise MeasureError(f"etad has grown by {run['memory_grown_bytes']} bytes")
        return run


def measure(bench, lab, case, variant):
    """Bench.measure() for a case with a flood."""
    bench.tcp_port = 62000 + (bench.tcp_port - 62000 + 1) % 2000
    if variant.is_eta and not lab.etad_pid():
        raise MeasureError("etad does not run")
    return Flood(bench, lab, case, variant).run()
