"""Prints and writes what `downsample` measures."""

import json
import pathlib
from collections.abc import Iterable
from importlib import metadata

from scripts.benchmarks.downsample_peers import OPENCV

# How many times our CPU time PyTorch should take at least; whichever of its layouts is faster.
CLAIMS = {"gaussian": 3, "median": 20, "bilateral": 10}
PYTORCH = ("PyTorch", "PyTorch, channels last")


def run(rows: Iterable[dict], *, machine: str = "", output: pathlib.Path | None = None) -> dict:
    """Prints each row as it comes, then the table and the claims, and writes all into a folder.

    Args:
      rows: as of `downsample.measure_all`.
      machine: a line about the machine.
      output: folder for downsample.json and downsample.md.

    Returns:
      {"machine", "rows", "claims"}.
    """
    collected = []
    for row in rows:
        collected.append(row)
        times = ", ".join(f"{name} {ms:.4f}" for name, ms in row["cpu_ms"].items())
        print(f"{row['method']} x {row['batch']}: CPU ms {times}", flush=True)
    result = {"machine": machine, "rows": collected, "claims": claims(collected)}
    text = f"# Downsampling 256 x 256 x 3 by 4\n\n{machine}; {_opencv()}\n\n{table(collected)}"
    print(f"\n{text}", flush=True)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "downsample.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        (output / "downsample.md").write_text(text, encoding="utf-8")
    return result


def table(rows: list[dict]) -> str:
    """A Markdown table of all methods, the claims, and what OpenCV was asked for."""
    lines = [
        "CPU milliseconds of one thread, and how many times ours (median of the rounds' ratios). "
        "Compilation: what the first call took.",
        "",
        "| method | images | ours ms | PyTorch ms | ratio | PyTorch, channels last ms | ratio "
        "| OpenCV ms | ratio | compile s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [row["method"], str(row["batch"]), _milliseconds(row["cpu_ms"]["ours"])]
        for peer in (*PYTORCH, "OpenCV"):
            known = peer in row["cpu_ms"]
            cells.append(_milliseconds(row["cpu_ms"][peer]) if known else "")
            cells.append(f"{row['ratios'][peer]:.2f}" if known else "")
        lines.append("| " + " | ".join([*cells, f"{row['compile_s']:.2f}"]) + " |")
    lines.append("")
    for claim in claims(rows):
        kept = "holds" if claim["holds"] else "DOES NOT HOLD"
        lines.append(
            f"- {claim['method']}, {claim['batch']} images: PyTorch takes at least "
            f"{claim['least']}x as long: {claim['ratio']:.2f}x: {kept}"
        )
    asked = "; ".join(f"{method}: {routine}" for method, routine in OPENCV.items())
    return "\n".join([*lines, "", f"OpenCV's routines, image by image: {asked}.", ""])


def claims(rows: list[dict]) -> list[dict]:
    """For each row with a peer in PyTorch, what should hold and whether it does."""
    result = []
    for row in rows:
        ratios = [row["ratios"][peer] for peer in PYTORCH if peer in row["ratios"]]
        if ratios:
            least = CLAIMS.get(row["method"], 1)
            claim = {"method": row["method"], "batch": row["batch"], "least": least}
            result.append(claim | {"ratio": min(ratios), "holds": min(ratios) >= least})
    return result


def _milliseconds(value: float) -> str:
    return f"{value:.4f}" if value < 1 else f"{value:.2f}"


def _opencv() -> str:
    try:
        return f"opencv {metadata.version('opencv-python-headless')}"
    except metadata.PackageNotFoundError:
        return "opencv absent"
