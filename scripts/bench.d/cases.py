# SPDX-License-Identifier: BSD-3-Clause
"""
What is measured: the arrangements, the work, and who competes.

An arrangement is where the bytes go, a work is what the program does (test/bench/work.c), a variant is the stack and the number of threads that do it.
ETA's variants use one CPU for the program and one for the engine; the kernel may take both: the best of its variants counts.
"""
from dataclasses import dataclass, field

# Both stacks need many local ports; the kernel keeps its own range, servers listen above both.
SETS = ["tcp = { ephemeral_lo = 2048; ephemeral_hi = 32767; msl_ms = 250; };"]
NO_TURNAROUND = "local = { turnaround = false; };"


@dataclass(frozen=True)
class Variant:
    """One competitor. @cpus are indices into (first CPU, last CPU); None = the scheduler decides."""
    name: str
    program: str          # eta_bench, sock_bench
    side: str             # eta, kernel: how scripts/lab starts it (eta: under eta-run)
    is_eta: bool = False  # does ETA carry it?
    threads: int = 1
    cpus: tuple = (0,)
    server_cpus: tuple = None


@dataclass(frozen=True)
class Arrangement:
    """@must names the counter that proves that the stack was not bypassed."""
    name: str
    text: str
    port: str
    sets: tuple
    variants: tuple
    must: str             # port, turned
    has_peer: bool = False
    is_flooded: bool = False  # measured by flood.py
    link: str = ""        # an emulated link to the peer (scripts/lab up --link), else a veth


@dataclass(frozen=True)
class Case:
    """One line of the table."""
    name: str
    arrangement: Arrangement
    mode: str             # rr, stream, crr, idle
    conns: int
    unit: str
    direction: str = "self"  # self, out (ETA's side is client), in
    in_quick: bool = False
    options: tuple = field(default=())

    @property
    def more_is_better(self):
        """Rates grow, memory and CPU shrink."""
        return self.mode != "idle"


NATIVE = Variant("eta", "eta_bench", "kernel", True)
SOCKETS = Variant("eta-run", "sock_bench", "eta", True)
SELF = (NATIVE, Variant("kernel-1", "sock_bench", "kernel"), SOCKETS, Variant("kernel-2", "sock_bench", "kernel", threads=2, cpus=(0, 1)))
# Under loss congestion control decides, not the CPU: one program on either stack, and the link has both CPUs to run on.
LINKED = (Variant("kernel", "sock_bench", "kernel", cpus=None), Variant("eta-run", "sock_bench", "eta", True, cpus=None))
# Sender of the flood, peer and server share the CPUs that there are, but for the engine's where they are kept off it.
FLOODED = (Variant("eta", "eta_bench", "kernel", True), Variant("kernel", "sock_bench", "kernel", cpus=None),
           Variant("eta-free", "eta_bench", "kernel", True, cpus=None))
PEER = (NATIVE, Variant("kernel", "sock_bench", "kernel", server_cpus=(1,)), SOCKETS, Variant("kernel-free", "sock_bench", "kernel", cpus=None))



def _links():
    """Paths that lose, both ways, or reorder. What is late is so by up to a fifth of a round trip."""
    for rtt_ms in (1, 20):
        for percent in (0.1, 1, 3):
            yield Arrangement(f"loss.rtt{rtt_ms}.p{percent}", f"to a Linux peer, {rtt_ms} ms away, {percent} % lost each way; CUBIC on either "
                              "stack, neither segments in the port", "packet", tuple(SETS), LINKED, "port", True,
                              f"loss={percent} delay_us={rtt_ms * 500}")
        yield Arrangement(f"reorder.rtt{rtt_ms}.p1", f"to a Linux peer, {rtt_ms} ms away, 500 Mbit/s, 1 % reordered each way; as loss", "packet",
                          tuple(SETS), LINKED, "port", True, f"reorder=1 hold_us={rtt_ms * 200} delay_us={rtt_ms * 500} rate_mbit=500 queue=400")


ARRANGEMENTS = (
    Arrangement("self", "one program, both ends; ETA through a looped net_ring port, the kernel through loopback", "ring",
                (*SETS, NO_TURNAROUND), SELF, "port"),
    Arrangement("local", "one program, both ends; ETA turns traffic to its own address around, the kernel through loopback", "ring",
                tuple(SETS), SELF, "turned"),
    Arrangement("packet", "to a Linux peer over veth; ETA through packet:, the kernel with all offloads", "packet", tuple(SETS), PEER,
                "port", True),
    Arrangement("af_packet", "to a Linux peer over veth; ETA through dpdk:net_af_packet, the kernel with all offloads", "af_packet",
                tuple(SETS), PEER, "port", True),
    *_links(),
    Arrangement("flood", "from a Linux peer over veth, while 100 000 SYNs a second of sources that do not exist arrive at the same listener; the "
                "rate before, while the flood is made and lost on the peer's own loopback, and during it", "packet", tuple(SETS), FLOODED,
                "port", True, is_flooded=True),
)


def _both_ends(arr, quick):
    for conns in (1, 8, 64):
        yield Case(f"{arr.name}.rr.{conns}", arr, "rr", conns, "requests/s", in_quick=quick and conns != 8)
    for conns in (1, 4):
        yield Case(f"{arr.name}.stream.{conns}", arr, "stream", conns, "Gbit/s", in_quick=quick and conns == 1)
    for conns in (1, 16):
        yield Case(f"{arr.name}.crr.{conns}", arr, "crr", conns, "connections/s", in_quick=quick and conns == 16)


def _peer(arr, quick):
    for conns in (1, 64):
        yield Case(f"{arr.name}.rr.{conns}", arr, "rr", conns, "requests/s", "out", in_quick=quick and conns == 1)
    yield Case(f"{arr.name}.stream-out.1", arr, "stream", 1, "Gbit/s", "out", in_quick=quick)
    yield Case(f"{arr.name}.stream-in.1", arr, "stream", 1, "Gbit/s", "in", in_quick=quick)
    yield Case(f"{arr.name}.stream-out.8", arr, "stream", 8, "Gbit/s", "out")
    yield Case(f"{arr.name}.crr.16", arr, "crr", 16, "connections/s", "out")
    if quick:
        # One program, both ends at its own address. Here, because a net_ring port has no descriptor to sleep on.
        yield Case(f"{arr.name}.idle", arr, "idle", 4000, "bytes/end", in_quick=True)


def _linked(arr):
    # Where windows are small, or the path long, losses are few: more connections make more of them per second.
    conns = {"loss.rtt1.p0.1": 1, "loss.rtt1.p1": 4, "reorder.rtt1.p1": 1, "reorder.rtt20.p1": 4}.get(arr.name, 16)
    for direction in ("out", "in"):
        yield Case(f"{arr.name}.{direction}", arr, "stream", conns, "Gbit/s", direction)


def _flooded(arr):
    for mode, conns, unit in (("stream", 1, "Gbit/s"), ("crr", 16, "connections/s")):
        for family in ("v4", "v6"):
            yield Case(f"{arr.name}.{mode}.{family}", arr, mode, conns, unit, "in", options=(family,))


def all_cases():
    """In the order of measurement: one lab after the other."""
    for arr in ARRANGEMENTS:
        if arr.link:
            yield from _linked(arr)
            continue
        if arr.is_flooded:
            yield from _flooded(arr)
            continue
        if arr.has_peer:
            yield from _peer(arr, arr.name == "packet")
            continue
        yield from _both_ends(arr, arr.name == "self")


def choose(names, quick):
    """Cases whose name contains one of @names, or is a name's arrangement or work; all when there is none."""
    chosen = []
    for case in all_cases():
        if names and not any(n == case.name or n in (case.name.split(".")[0], case.mode) or case.name.startswith(n + ".") for n in names):
            continue
        if quick and not names and not case.in_quick:
            continue
        chosen.append(case)
    return chosen
