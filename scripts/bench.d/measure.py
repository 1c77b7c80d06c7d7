# SPDX-License-Identifier: BSD-3-Clause
"""
One measurement: start the program (and its peer), read counters before and after, judge, and return a dictionary.

A figure counts only if every byte was right and, for ETA, if the counters of the port (or of the turnaround) show that the segments really went
through the stack: MeasureError otherwise. Engine cycles are counted by etad in one turn of 64, picked at random.
"""
import json
import os
import resource
import select
import subprocess
import time

from lab import LabError, cpu_s_of

SAMPLED_TURNS = 64
GRACE_S = 14          # the programs give up by themselves after 10 s without progress
SERVER_EXTRA_S = 1.0  # a server lives so much longer than its client
LINK_EXTRA_S = 15.0   # the same over a link that loses: handshakes are repeated after 1 and 3 s, buffers drain slowly
SETTLED_S = 3.0       # after so long the engine and AL have given back what idle connections do not need
STAGES = ("rx", "tcp", "events", "doorbells", "timers", "admin", "output", "tx")


class MeasureError(Exception):
    """The run gives no figure; the text says why."""


def tsc_hz():
    """Cycles per second of the time stamp counter, near enough: the nominal clock."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("cpu MHz"):
                return float(line.split(":")[1]) * 1e6
    return 1e9


def free_bytes():
    """Memory that nobody uses, free hugepages too."""
    found = {}
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            key, value = line.split(":")
            found[key] = int(value.split()[0])
    return found["MemFree"] * 1024 + found.get("HugePages_Free", 0) * found.get("Hugepagesize", 0) * 1024


def private_bytes(pid):
    """Memory that only this process has."""
    total = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith(("Private_Clean", "Private_Dirty")):
                    total += int(line.split()[1]) * 1024
    except OSError:
        pass
    return total


def busy_s():
    """CPU seconds that the machine has worked, all CPUs."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(v) for v in f.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def children_s():
    """CPU seconds of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def flat(stats):
    """{"engine": {...}, "ports": [...]} -> one dictionary; ports are added up as port.*."""
    out = dict(stats.get("engine", {}))
    out.update(stats.get("ka", {}))
    for port in stats.get("ports", []):
        for key, value in port.items():
            if key != "name":
                out["port." + key] = out.get("port." + key, 0) + value
    return out


def difference(before, after):
    """After minus before, key by key."""
    return {k: v - before.get(k, 0) for k, v in after.items()}


class Bench:
    """Runs cases in labs. @build: where the programs are."""

    def __init__(self, build, cpus, seconds, spin=False):
        self.build, self.cpus, self.seconds, self.spin = build, cpus, seconds, spin
        self.tsc_hz = tsc_hz()
        self.tcp_port = 62000
        self.running = []
        self.context_bytes = 0 # of the engine, per end; measured by the caller
        self.idle_look = {}

    def argv_of(self, program, mode, lab, case, cpus, role, seconds, address):
        """The command line of the benchmark's program."""
        argv = [] # CPUs as indices into self.cpus
        if cpus is not None:
            argv += ["taskset", "-c", ",".join(str(self.cpus[i]) for i in cpus)]
        argv += [os.path.join(self.build, "test", "bench", program), "--mode", mode, "--role", role, "--addr", address,
                 "--port", str(self.tcp_port), "--conns", str(case.conns), "--seconds", f"{seconds:g}"]
        if program == "eta_bench":
            argv += ["--socket", lab.vars["LAB_SOCKET"]]
        argv += ["--hold"] if mode == "idle" else [] # until its input ends: until we wait for its result
        return argv + (["--spin"] if self.spin else [])

    def start(self, lab, side, argv):
        """Start it in a lab, and remember that it runs."""
        proc = lab.run(side, argv)
        self.running.append(proc)
        return proc

    def end_all(self):
        """End what still runs."""
        for proc in self.running:
            if proc.poll() is None:
                proc.kill()
                proc.communicate()
        self.running = []

    def result_of(self, proc, timeout, what):
        """Its line of JSON, when it has ended."""
        try:
            out, err = proc.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.communicate()
            raise MeasureError(f"{what} did not end within {timeout:.0f} s") from None
        finally:
            if proc in self.running:
                self.running.remove(proc)
        lines = [line for line in out.splitlines() if line.startswith("{")]
        said = "; ".join(err.strip().splitlines()[-3:])
        if not lines:
            raise MeasureError(f"{what}: exit {proc.returncode}: {said or 'no result'}")
        result = json.loads(lines[-1])
        if result.get("bad"):
            raise MeasureError(f"{what}: WRONG BYTES in {result['bad']} reads")
        result["exit"] = proc.returncode
        result["said"] = said
        return result

    def _sides(self, case, variant):
        """Whose program is the client, and whose the server: (side, program, cpus) each."""
        ours = (variant.side, variant.program, variant.cpus)
        theirs = ("peer", "sock_bench", variant.server_cpus)
        return (ours, theirs) if case.direction == "out" else (theirs, ours)

    def _pair(self, lab, case, variant):
        """Client here, server there. Return the client's result with the server's view of the bytes."""
        client, server = self._sides(case, variant)
        address = lab.address(server[0])
        is_linked = bool(case.arrangement.link)
        # Over a link the server measures, inside of the client's time.
        mine_s = self.seconds + (1 if is_linked else 0)
        life_s = self.seconds + (LINK_EXTRA_S if is_linked else SERVER_EXTRA_S)
        argv = self.argv_of(server[1], case.mode, lab, case, server[2], "server", life_s, address)
        proc = self.start(lab, server[0], argv + (["--window", f"{self.seconds:g}"] if is_linked else []))
        deadline = time.monotonic() + 5
        while not lab.is_listening(server[0], self.tcp_port):
            if proc.poll() is not None or time.monotonic() > deadline:
                self.result_of(proc, 1, "server")
                raise MeasureError("server does not listen")
        mine = self.start(lab, client[0], self.argv_of(client[1], case.mode, lab, case, client[2], "client", mine_s, address))
        result = self.result_of(mine, life_s + GRACE_S, "client")
        served = self.result_of(proc, life_s + GRACE_S, "server")
        if result["exit"] != 0:
            raise MeasureError(f"client: {result['failed']} connections failed: {result['said']}")
        if is_linked:
            result["gbit_per_s"], result["seconds"] = served["gbit_per_s"], served["seconds"]
        elif case.mode == "stream":
            result["gbit_per_s"] = served["gbit_per_s"] * served["seconds"] / result["seconds"]
        return result

    def _self(self, lab, case, variant, pid):
        address = lab.address("eta") if variant.is_eta else "127.0.0.1"
        argv = self.argv_of(variant.program, case.mode, lab, case, variant.cpus, "self", self.seconds, address)
        proc = self.start(lab, variant.side, argv + ["--threads", str(variant.threads)])
        if case.mode == "idle":
            self._watch_idle(lab, proc, pid)
        result = self.result_of(proc, self.seconds + GRACE_S, "program")
        if result["exit"] != 0:
            raise MeasureError(f"{result['failed']} connections failed: {result['said']}")
        return result

    def _watch_idle(self, lab, proc, pid):
        """When the program says that its connections idle, let that settle and look what they cost. @pid: etad's, 0 = the kernel."""
        if not select.select([proc.stdout], [], [], self.seconds + GRACE_S)[0] or proc.stdout.readline().strip() != "idle":
            return
        time.sleep(SETTLED_S)
        # etad is left alone for a while, so that the questions are not in its CPU time.
        cpu, at = cpu_s_of(pid), time.monotonic()
        time.sleep(0.8)
        used = (cpu_s_of(pid) - cpu) / (time.monotonic() - at)
        look = {"private_bytes": private_bytes(proc.pid), "free_bytes": free_bytes(), "etad_cpu": used}
        look["sessions"] = lab.show("sessions") if pid else []
        if look["private_bytes"]:
            self.idle_look = look

    # --- one measurement -------------------------------------------------------------------------------------------

    def measure(self, lab, case, variant):
        """Return a dictionary with value, and what was seen beside it. MeasureError: no figure."""
        self.tcp_port = 62000 + (self.tcp_port - 62000 + 1) % 2000
        self.idle_look = {}
        pid = lab.etad_pid() if variant.is_eta else 0
        if variant.is_eta and not pid:
            raise MeasureError("etad does not run")
        before = flat(lab.show("stats")) if pid and case.mode != "idle" else {}
        free, etad_s, busy, mine_s, start = free_bytes(), cpu_s_of(pid), busy_s(), children_s(), time.monotonic()
        result = self._self(lab, case, variant, pid) if case.direction == "self" else self._pair(lab, case, variant)
        wall_s = time.monotonic() - start
        program_s = children_s() - mine_s
        etad_s = cpu_s_of(pid) - etad_s
        run = {"seconds": result["seconds"], "wall_s": round(wall_s, 3), "program_cpu_s": round(program_s, 3),
               "etad_cpu_s": round(etad_s, 3), "others_busy": round(max(0.0, busy_s() - busy - program_s - etad_s) / wall_s, 3)}
        for key in ("p50_us", "p99_us", "p999_us"):
            if key in result and case.mode != "stream":
                run[key] = result[key]
        if case.mode == "idle":
            self._idle(case, variant, run, free)
            return run
        run["value"] = result["gbit_per_s"] if case.mode == "stream" else result["per_s"]
        if pid:
            self._prove(case, run, difference(before, flat(lab.show("stats"))))
        return run

    def _idle(self, case, variant, run, free):
        look = self.idle_look
        if not look:
            raise MeasureError("ended before it was idle")
        ends = 2 * case.conns
        run["machine_bytes_per_end"] = round((free - look["free_bytes"]) / ends)
        run["private_bytes_per_end"] = round(look["private_bytes"] / ends)
        run["value"] = run["machine_bytes_per_end"]
        if not variant.is_eta:
            return
        # Segments grow for the busiest moment; pages that are free again serve any connection.
        shared = sum(s["memory_bytes"] for s in look["sessions"])
        unused = sum(s.get("memory_free_bytes", 0) for s in look["sessions"])
        run["shared_bytes_per_end"] = round((shared - unused) / ends)
        run["shared_free_bytes_per_end"] = round(unused / ends)
        # What etad took at its start for contexts does not show in free memory.
        run["context_bytes_per_end"] = self.context_bytes
        run["value"] = run["shared_bytes_per_end"] + run["private_bytes_per_end"] + self.context_bytes
        run["etad_idle_cpu_percent"] = round(100 * look["etad_cpu"], 2)

    def _prove(self, case, run, delta):
        """The stack was not bypassed, and what it spent."""
        done = run["value"] * run["seconds"]
        run["tx_frames"], run["rx_frames"] = delta.get("port.tx_frames", 0), delta.get("port.rx_frames", 0)
        run["turned"] = delta.get("turned", 0)
        if case.arrangement.must == "turned":
            seen, what = run["turned"], "frames turned around"
        else:
            seen, what = (run["tx_frames"] if case.direction == "self" else run["tx_frames"] + run["rx_frames"]), "frames at the port"
        if case.mode == "stream":
            if case.arrangement.must == "port":
                # Both directions count: a superframe is one frame, so bytes and not frames tell.
                seen_bytes = delta.get("port.tx_bytes", 0) + (delta.get("port.rx_bytes", 0) if case.direction != "self" else 0)
                if seen_bytes < 0.98 * done * 1e9 / 8:
                    raise MeasureError(f"BYPASSED: {seen_bytes / 1e9:.2f} GB at the port for {done / 8:.2f} GB of payload")
            elif seen * 65536 < 0.98 * done * 1e9 / 8:
                raise MeasureError(f"BYPASSED: {seen} {what} for {done / 8:.2f} GB")
            units = done * 1e9 / 8 / 1448 # per segment of payload
        else:
            run["frames_per_request"] = round(seen / done, 3) if done else 0
            if seen < 1.95 * done:
                raise MeasureError(f"BYPASSED: {seen} {what} for {done:.0f} requests, 2 each expected")
            units = done * (2 if case.direction == "self" else 1)
        if units > 0:
            self._layers(run, delta, units)
        lost = {k: v for k, v in delta.items() if v and ("drop" in k.lower() or "RetransSegs" in k or "_full" in k)}
        if lost:
            run["lost"] = lost

    def _layers(self, run, delta, units):
        layers = {"engine_" + s: round(delta["cyc_" + s] * SAMPLED_TURNS / units, 1) for s in STAGES if "cyc_" + s in delta}
        layers["engine_cpu"] = round(run["etad_cpu_s"] * self.tsc_hz / units, 1)
        layers["program_and_al"] = round(run["program_cpu_s"] * self.tsc_hz / units, 1)
        run["cycles"] = layers
        run["idle_turns"] = round(delta.get("loops_idle", 0) / max(1, delta.get("loops", 0)), 4)
        run["turns_per_unit"] = round(delta.get("loops", 0) / units, 3)


def idle_cpu_percent(lab, seconds):
    """CPU of etad when nothing happens, in percent of one CPU."""
    pid = lab.etad_pid()
    if not pid:
        raise LabError("etad does not run")
    start, at = cpu_s_of(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s_of(pid) - start) / (time.monotonic() - at)
