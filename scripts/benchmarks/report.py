"""Runs the chosen subjects and prints one line for each row, then geometric means."""

import json
import os
import statistics
from importlib import metadata

from scripts.benchmarks import adaptive, network, resample
from scripts.benchmarks.timing import measure, ratio


def run(subjects, *, rounds: int, with_xla: bool, json_path=None) -> list[dict]:
    """Measures and prints; see `scripts/benchmark.py`."""
    cases = {
        "resample": lambda: resample.cases(("up", "down"), with_xla=with_xla),
        "blur_pool": lambda: resample.cases(("blur",), with_xla=with_xla),
        "adaptive": adaptive.cases,
        "resnet50": network.cases,
    }
    rows = []
    for subject in subjects:
        print(f"\n== {subject}", flush=True)
        block = []
        for title, rivals, seconds, megabytes in cases[subject]():
            block.append(_row(title, rivals, seconds, megabytes, rounds))
        _print_means(block)
        rows += block
    if json_path:
        json_path.write_text(json.dumps(rows, indent=1))
    return rows


def _row(title, rivals, seconds, megabytes, rounds) -> dict:
    timings = measure(rivals, rounds=rounds)
    ours = timings["ours"]
    row = {
        "case": title,
        "ours_ms": ours.median_wall,
        "ours_cpu_ms": ours.median_cpu,
        "compile_s": seconds,
        "temporaries_mb": megabytes,
        "ratios": {},
    }
    parts = [f"{title:48s} ours {ours.median_wall:8.2f} ms (cpu {ours.median_cpu:8.2f})"]
    for name, timing in timings.items():
        if name == "ours":
            continue
        middle, spread = ratio(timing, ours)
        row["ratios"][name] = {"median": middle, "spread": spread, "ms": timing.median_wall}
        parts.append(f"{name} {timing.median_wall:.2f} ms = {middle:.2f}x +-{spread / 2:.2f}")
    print(" | ".join(parts) + f" | compile {seconds:.1f} s, temp {megabytes:.0f} MB", flush=True)
    return row


def _print_means(rows) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    for name in names:
        values = [row["ratios"][name]["median"] for row in rows if name in row["ratios"]]
        if len(values) > 1:
            mean = statistics.geometric_mean(values)
            print(f"   {name}: geometric mean {mean:.2f}x, least {min(values):.2f}x")


def machine() -> str:
    """Cores, load and versions in a line."""
    versions = []
    for package in ("jax", "jaxlib", "torch", "numpy"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{package} absent")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, load average {load:.1f}; {', '.join(versions)}"
