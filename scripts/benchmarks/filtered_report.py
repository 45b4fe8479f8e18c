"""Prints, writes and draws what `filtered_activation` measures."""

import json
import pathlib
import statistics

import jax

from scripts.benchmarks import filtered_activation
from scripts.benchmarks.filtered_workload import DIRECTIONS

# Okabe and Ito's palette.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def run(
    config: str = "t",
    resolution: int = 256,
    *,
    json_path: pathlib.Path | None = None,
    markdown_path: pathlib.Path | None = None,
    plot_path: pathlib.Path | None = None,
    machine: str = "",
    **options,
) -> list[dict]:
    """Measures, printing a line for each row, then geometric means; writes what has a path.

    Args:
      config: "t" or "r".
      resolution: of the generator.
      json_path: file for the rows.
      markdown_path: file for a table of them.
      plot_path: PNG file for a bar chart of the ratios.
      machine: a line about the machine, for the table.
      **options: of `filtered_activation.rows`.

    Returns:
      The rows.
    """
    rows = []
    for row in filtered_activation.rows(config, resolution, **options):
        print(line(row), flush=True)
        rows.append(row)
    for text in means(rows):
        print(f"   {text}")
    if json_path:
        pathlib.Path(json_path).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if markdown_path:
        pathlib.Path(markdown_path).write_text(markdown(rows, machine), encoding="utf-8")
    if plot_path:
        draw(rows, plot_path)
    return rows


def line(row: dict) -> str:
    """One row in one line of text."""
    parts = [
        f"{row['case']:40s} ours {row['ours_ms']:8.3f} ms (cpu {row['ours_cpu_ms']:8.3f}), "
        f"{row['gb_per_s']:.1f} GB/s = {row['percent_of_copy']:.0f}% of copy, "
        f"{row['gflop_per_s']:.1f} GFLOP/s = {row['percent_of_matmul']:.0f}% of matmul"
    ]
    for name, entry in row["ratios"].items():
        half = entry["spread"] / 2
        parts.append(f"{name} {entry['ms']:.2f} ms = {entry['median']:.2f}x +-{half:.2f}")
    parts.append(f"compile {row['compile_s']:.1f} s, temp {row['temporaries_mb']:.1f} MB")
    return " | ".join(parts)


def means(rows: list[dict]) -> list[str]:
    """Geometric mean and least ratio of each rival, for each direction."""
    texts = []
    for direction in DIRECTIONS:
        for name in _rivals(rows):
            values = [
                row["ratios"][name]["median"]
                for row in rows
                if row["direction"] == direction and name in row["ratios"]
            ]
            if values:
                mean = statistics.geometric_mean(values)
                texts.append(
                    f"{name}, {direction}: geometric mean {mean:.2f}x, least {min(values):.2f}x "
                    f"over {len(values)} layers"
                )
    return texts


def markdown(rows: list[dict], machine: str = "") -> str:
    """The rows as a table, with the ceilings above it and the means below."""
    first = rows[0]
    device = jax.devices()[0]
    names = _rivals(rows)
    title = first["case"].split()[0].upper()
    lines = [
        f"# Filtered activation, layers of configuration {title[0]} at {title[1:]} pixels",
        "",
        f"{device.platform} {device.device_kind}, {first['dtype']}, batch {first['shape'][0]}. "
        f"{machine}",
        "",
        f"Ceilings measured in the same process: copy {first['copy_gb_per_s']:.1f} GB/s, matrix "
        f"product {first['matmul_gflop_per_s']:.0f} GFLOP/s. Ratios: how many times longer the "
        "rival takes, median over the rounds; of PyTorch's variants the quickest counts. Traffic "
        "counts input and output (with gradient: both twice, and the two-bit codes written and "
        "read); FLOPs are the polyphase filters'. Small layers fit into caches, so that more than "
        "100 % of copy is possible.",
        "",
    ]
    header = ["layer", "input", "direction", "ours ms", "memory floor ms", "GB/s (of copy)"]
    header += ["GFLOP/s (of matmul)", "compile s", "temporaries MB"]
    for name in names:
        header.append(name)
        if "compile_s" in first["ratios"][name]:
            header += [f"{name}: compile s", "temporaries MB"]
    lines += [_table_row(header), _table_row(["---"] * len(header))]
    lines += [_table_row(_cells(row, names)) for row in rows]
    lines += ["", *(f"- {text}" for text in means(rows)), ""]
    return "\n".join(lines)


def draw(rows: list[dict], path) -> None:
    """Draws the ratios as bars, layer by layer: one panel forward, one with the gradient."""
    from matplotlib.figure import Figure

    names = _rivals(rows)
    if not names:
        raise ValueError("rows must hold at least one rival, got none to draw")
    figure = Figure(figsize=(11, 7), layout="constrained", dpi=130)
    panels = figure.subplots(len(DIRECTIONS), 1, sharex=True, sharey=True)
    width = 0.8 / len(names)
    for panel, direction in zip(panels, DIRECTIONS, strict=True):
        chosen = [row for row in rows if row["direction"] == direction]
        for i, name in enumerate(names):
            places = [at + (i - (len(names) - 1) / 2) * width for at in range(len(chosen))]
            heights = [row["ratios"][name]["median"] for row in chosen]
            mean = statistics.geometric_mean(heights)
            panel.bar(
                places,
                # A logarithmic axis has no 0 to start from: bars go up or down from 1.
                [height - 1 for height in heights],
                width,
                bottom=1,
                color=COLOURS[i % len(COLOURS)],
                label=f"{name} (geometric mean {mean:.1f}x)",
            )
        panel.axhline(1, color="black", linewidth=1)
        panel.set_yscale("log")
        panel.set_ylabel("time relative to ours")
        panel.set_title(direction, loc="left")
        panel.set_xticks(range(len(chosen)), [row["layer"] for row in chosen], rotation=45)
        panel.grid(axis="y", linewidth=0.4, alpha=0.5)
        panel.set_axisbelow(True)
        panel.legend(fontsize=8, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1))
    figure.suptitle(
        f"Filtered activation, {rows[0]['case'].split()[0].upper()}: above 1, ours wins"
    )
    figure.savefig(path, facecolor="white")


def _rivals(rows: list[dict]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["ratios"]))


def _table_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: dict, names: list[str]) -> list[str]:
    cells = [
        row["layer"],
        "x".join(map(str, row["shape"])),
        row["direction"],
        f"{row['ours_ms']:.3f}",
        f"{row['memory_floor_ms']:.3f}",
        f"{row['gb_per_s']:.2f} ({row['percent_of_copy']:.0f} %)",
        f"{row['gflop_per_s']:.1f} ({row['percent_of_matmul']:.0f} %)",
        f"{row['compile_s']:.2f}",
        f"{row['temporaries_mb']:.1f}",
    ]
    for name in names:
        entry = row["ratios"][name]
        variant = f"; {entry['variant']}" if entry["variant"] else ""
        cells.append(f"{entry['median']:.2f}x ({entry['ms']:.2f} ms{variant})")
        if "compile_s" in entry:
            cells += [f"{entry['compile_s']:.2f}", f"{entry['temporaries_mb']:.1f}"]
    return cells
