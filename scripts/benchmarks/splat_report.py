"""Prints, writes and draws what `splat` measures."""

import json
import pathlib
from collections.abc import Iterable

import jax

from scripts.benchmarks.splat import CLAIMS, EAGER, OURS, SIGMA

# Okabe and Ito's palette.
COLOURS = ("#0072B2", "#D55E00")


def run(
    measured: Iterable[tuple[str, object]],
    *,
    machine: str = "",
    output: pathlib.Path | None = None,
) -> dict:
    """Prints each part as it comes, and writes all into a folder.

    Args:
      measured: as of `splat.measure_all`.
      machine: a line about the machine.
      output: folder for splat.json, splat.md and splat_scaling.png.

    Returns:
      The parts by name, and the claims.
    """
    device = jax.devices()[0]
    heading = f"{device.platform} {device.device_kind}. {machine}"
    texts = [f"# Images from scattered samples\n\n{heading}\n"]
    print(f"\n{texts[0]}", flush=True)
    result = {"machine": heading}
    for name, part in measured:
        result[name] = part
        texts.append({"rivals": rivals, "scaling": scaling, "renders": renders}[name](part))
        print(texts[-1], flush=True)
        if name == "rivals":
            result["claims"] = claims(part)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "splat.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        (output / "splat.md").write_text("\n".join(texts), encoding="utf-8")
        draw(result["scaling"], output / "splat_scaling.png")
    return result


def rivals(rows: list[dict]) -> str:
    """A table of all methods, and the claims."""
    clock = rows[0]["clock"]
    lines = [
        f"Random points with a photograph's colours. Ratios: how many times our {clock} time, "
        "median over the rounds and half the quartile spread. Compilation of an eager call: what "
        "the first call took. Error: mean absolute difference from the photograph, in [0, 1], "
        "where the method gives a number. Projected: a part of the pixels was evaluated, its time "
        "multiplied.",
        "",
        f"| method | CPU s | wall s | rounds | x {OURS} | x {EAGER} | compile s | temporaries MB "
        "| error |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        name, share = row["method"], row["projected_from"]
        if share > 1:
            name += f" (projected from 1/{share})"
        ratios = [_ratio(row["ratios"][base]) for base in (OURS, EAGER)]
        costs = [_number(row[key], form) for key, form in _COSTS.items()]
        cells = [name, f"{row['cpu_s']:.3f}", f"{row['wall_s']:.3f}", str(row["rounds"])]
        lines.append("| " + " | ".join(cells + ratios + costs) + " |")
    lines.append("")
    for claim in claims(rows):
        found = " and ".join(f"{value:.1f}x {base}" for base, value in claim["ratios"].items())
        kept = "holds" if claim["holds"] else "DOES NOT HOLD"
        lines.append(f"- at least {claim['least']}x faster than {claim['rival']}: {found}: {kept}")
    return "\n".join(lines) + "\n"


_COSTS = {"compile_s": ".2f", "temporaries_mb": ".1f", "l1": ".4f"}


def claims(rows: list[dict]) -> list[dict]:
    """Which of `splat.CLAIMS` hold, for the jitted and the eager call both."""
    by_name = {row["method"]: row for row in rows if row["clock"] == "cpu"}
    result = []
    for rival, least in CLAIMS.items():
        if rival in by_name:
            ratios = {k: v["median"] for k, v in by_name[rival]["ratios"].items()}
            holds = min(ratios.values()) >= least
            result.append({"rival": rival, "least": least, "ratios": ratios, "holds": holds})
    return result


def scaling(curves: list[dict]) -> str:
    """A table of time against the number of points."""
    numbers = curves[0]["points"]
    lines = [
        f"Our {curves[0]['clock']} seconds against the number of points, jitted, and the slope of "
        "a line through their logarithms (1: proportional):",
        "",
        "| image | | " + " | ".join(f"{n:,}" for n in numbers) + " | slope |",
        "|---|---|" + "--:|" * (len(numbers) + 1),
    ]
    for curve in curves:
        times = " | ".join(f"{t:.4f}" for t in curve["seconds"])
        lines.append(f"| {curve['curve']} | {curve['kind']} | {times} | {curve['slope']:.2f} |")
    return "\n".join(lines) + "\n"


def renders(rows: list[dict]) -> str:
    """A table of renders per second."""
    first = rows[0]
    height, width = first["size"]
    lines = [
        f"`splat` of {first['gaussians']:,} Gaussians of any covariance, about 2.5 px wide, into "
        f"{width} x {height} pixels, jitted:",
        "",
        "| | per second | per CPU second | ms | CPU ms | compile s | temporaries MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            row["method"],
            f"{row['per_second']:.1f}",
            f"{row['per_cpu_second']:.1f}",
            f"{row['wall_s'] * 1e3:.2f}",
            f"{row['cpu_s'] * 1e3:.2f}",
            f"{row['compile_s']:.2f}",
            f"{row['temporaries_mb']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(curves: list[dict], path) -> None:
    """Draws the scaling: one panel for each way to choose the image, log against log."""
    from matplotlib.figure import Figure

    titles = list(dict.fromkeys(curve["curve"] for curve in curves))
    figure = Figure(figsize=(10, 4.5), layout="constrained", dpi=130)
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for panel, title in zip(panels, titles, strict=True):
        chosen = [curve for curve in curves if curve["curve"] == title]
        for curve, colour in zip(chosen, COLOURS, strict=True):
            label = f"{curve['kind']} (slope {curve['slope']:.2f})"
            panel.loglog(curve["points"], curve["seconds"], "o-", color=colour, label=label)
        last = chosen[0]
        line = [last["seconds"][-1] * n / last["points"][-1] for n in last["points"]]
        panel.loglog(last["points"], line, ":", color="grey", label="proportional")
        panel.set_xticks(last["points"], [f"{n:,}" for n in last["points"]])
        panel.minorticks_off()
        panel.set_xlabel("points")
        panel.set_title(title, loc="left")
        panel.grid(linewidth=0.4, alpha=0.5)
        panel.legend(fontsize=9)
    panels[0].set_ylabel(f"{'CPU' if curves[0]['clock'] == 'cpu' else 'wall'} seconds")
    figure.suptitle(f"Interpolating scattered samples, width {SIGMA} px: time by their number")
    figure.savefig(path, facecolor="white")


def _ratio(entry: dict) -> str:
    spread = "" if entry["spread"] is None else f" ± {entry['spread'] / 2:.2f}"
    return f"{entry['median']:.2f}{spread}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
