# SPDX-License-Identifier: BSD-3-Clause
"""
Medians, ratios, the table, the JSON file and the targets.
"""
import json
import os
import platform
import statistics
import subprocess
import time

# What the first version must show: (case, kind of figure, least ratio or absolute bound, sentence).
TARGETS = (
    ("self.rr.64", "ratio", 10, "64 B request/response, 64 connections, against the kernel's loopback"),
    ("self.rr.1", "ratio", 3, "64 B request/response, 1 connection, against the kernel's loopback"),
    ("packet.stream-out.1", "ratio", 0.25, "bulk to a Linux peer, against kernel to kernel with all offloads"),
    ("self.stream.1", "value", 10, "bulk to itself through the port, Gbit/s"),
    ("packet.idle", "at most", 4096, "bytes for an idle end of a connection"),
    ("idle.cpu", "at most", 3, "percent of a CPU for an idle etad"),
    ("flood.stream.v4", "kept", 1, "share of its rate that a stream keeps under a SYN flood, against the kernel's"),
    ("flood.crr.v4", "kept", 1, "the same of new connections"),
    ("sim.instructions", "at most", 3000, "engine instructions per endpoint-request"),
)


def median_of(runs, key):
    """Median over the runs that have it, None if none has."""
    values = [r[key] for r in runs if key in r]
    return statistics.median(values) if values else None


def summarise(case, runs, errors):
    """@runs: {variant name: [run, ...]} -> the record of a case."""
    record = {"name": case.name, "unit": case.unit, "arrangement": case.arrangement.name, "mode": case.mode, "conns": case.conns,
              "variants": {}, "errors": errors}
    for variant in case.arrangement.variants:
        got = runs.get(variant.name, [])
        if not got:
            continue
        entry = {"is_eta": variant.is_eta, "median": median_of(got, "value"), "runs": got}
        for key in ("p50_us", "p99_us", "p999_us"):
            if median_of(got, key) is not None:
                entry[key] = median_of(got, key)
        if "kept" in got[0]:
            entry["kept"] = median_of(got, "kept")
        if "cycles" in got[0]:
            entry["cycles"] = {k: statistics.median(r["cycles"].get(k, 0) for r in got) for k in got[0]["cycles"]}
        record["variants"][variant.name] = entry
    pick = max if case.more_is_better else min
    for group, is_eta in (("kernel", False), ("eta", True)):
        names = [n for n, v in record["variants"].items() if v["is_eta"] == is_eta]
        if names:
            record["best_" + group] = pick(names, key=lambda n: record["variants"][n]["median"])
    if "best_kernel" in record:
        kernel = record["variants"][record["best_kernel"]]["median"]
        for entry in record["variants"].values():
            if entry["is_eta"] and kernel > 0: # free memory on a busy machine may also grow
                entry["ratio"] = round(entry["median"] / kernel, 3)
    return record


def number(value):
    """Three significant digits, thousands written out."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(records):
    """Lines of the table."""
    head = ("case", "unit", "variant", "median", "ratio", "min..max", "p50 us", "p99 us", "remarks")
    rows = [head]
    for rec in records:
        name, unit = rec["name"], rec["unit"]
        for variant, entry in rec["variants"].items():
            values = [r["value"] for r in entry["runs"]]
            ratio = f"{entry['ratio']:.2f}x" if "ratio" in entry else ("best" if variant == rec.get("best_kernel") else "")
            rows.append((name, unit, variant, number(entry["median"]), ratio, f"{number(min(values))}..{number(max(values))}",
                         number(entry.get("p50_us")), number(entry.get("p99_us")), remarks(entry)))
            name = unit = ""
        for variant, text in rec["errors"].items():
            rows.append((name, unit, variant, "FAILED", "", "", "", "", text[:100]))
            name = unit = ""
    widths = [max(len(r[i]) for r in rows) for i in range(len(head) - 1)]
    left = (0, 1, 2)
    return ["  ".join([(c.ljust(w) if i in left else c.rjust(w)) for i, (c, w) in enumerate(zip(r, widths))] + [r[-1]]).rstrip() for r in rows]


def remarks(entry):
    """What else a reader should know of a line."""
    last, out = entry["runs"][-1], []
    if "kept" in last:
        quiet, made, of_made, per_s = (median_of(entry["runs"], k) for k in ("quiet", "made", "kept_of_made", "flood_per_s"))
        out.append(f"kept {100 * entry['kept']:.0f} % of {number(quiet)} ({100 * of_made:.0f} % of {number(made)}), {per_s / 1000:.0f} k SYN/s")
    if "punted_per_s" in last:
        out.append(f"memory {last['memory_grown_bytes']:+d} B, handed up {last['punted_per_s']}/s")
    if "frames_per_request" in last:
        out.append(f"{median_of(entry['runs'], 'frames_per_request'):.2f} frames/request")
    if "lost" in last:
        out.append(" ".join(f"{k}={v}" for k, v in sorted(last["lost"].items())[:3]))
    if "private_bytes_per_end" in last:
        parts = ("context", "shared", "private", "shared_free", "machine")
        out.append(" ".join(f"{k}={last[k + '_bytes_per_end']}" for k in parts if k + "_bytes_per_end" in last))
    if "etad_idle_cpu_percent" in last:
        out.append(f"etad {median_of(entry['runs'], 'etad_idle_cpu_percent'):.1f} % of a CPU")
    busy = median_of(entry["runs"], "others_busy")
    if busy is not None and busy > 0.15:
        out.append(f"machine busy otherwise: {busy:.1f} CPUs")
    return ", ".join(out)


def layers(records):
    """Lines: cycles per endpoint-request (stream: per 1448 bytes) and layer."""
    lines = []
    for rec in records:
        for variant, entry in rec["variants"].items():
            if "cycles" not in entry:
                continue
            unit = "1448 B" if rec["mode"] == "stream" else "endpoint-request"
            cells = " ".join(f"{k.replace('engine_', '')}={number(v)}" for k, v in entry["cycles"].items())
            idle = median_of(entry["runs"], "idle_turns")
            lines.append(f"{rec['name']:<22} {variant:<8} per {unit}: {cells} (turns without work {100 * idle:.0f} %)")
    return lines


def targets(records, extra):
    """Lines of the targets that were measured, and whether all were met."""
    by_name, lines, all_met = {r["name"]: r for r in records}, [], True
    for name, kind, bound, text in TARGETS:
        rec = by_name.get(name)
        if rec and "best_eta" in rec:
            entry = rec["variants"][rec["best_eta"]]
            value = entry.get("ratio") if kind == "ratio" else entry["median"]
            if kind == "kept":
                kernel = rec["variants"].get(rec.get("best_kernel"))
                value = round(entry["kept"] / kernel["kept"], 3) if kernel else None
        else:
            value = extra.get(name)
        if value is None:
            if rec:
                lines.append(f"  FAILED  {name}: no figure ({text})")
                all_met = False
            continue
        met = value <= bound if kind == "at most" else value >= bound
        all_met = all_met and met
        mark = "met   " if met else "MISSED"
        sign = "<=" if kind == "at most" else ">="
        lines.append(f"  {mark}  {name:<22} {number(value)}{'x' if kind in ('ratio', 'kept') else ''} ({sign} {bound}): {text}")
    return lines, all_met


def machine(root, tsc_hz):
    """What a reader of the figures needs to know of where they come from."""
    def command(*argv):
        done = subprocess.run(argv, capture_output=True, text=True, cwd=root, check=False)
        return done.stdout.strip()

    def first(path, key):
        with open(path, encoding="ascii", errors="replace") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith(key)), "?")

    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": first("/proc/cpuinfo", "model name"),
            "cpus": os.cpu_count(), "tsc_hz": tsc_hz, "kernel": platform.release(), "memory_total": first("/proc/meminfo", "MemTotal"),
            "hugepages": first("/proc/meminfo", "HugePages_Total"), "commit": command("git", "describe", "--always", "--dirty"),
            "dpdk": command("pkg-config", "--modversion", "libdpdk")}


def write_json(path, document):
    """Whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(document, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)
