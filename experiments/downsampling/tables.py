"""The study's tables, in Markdown, and what they say about phase."""

from collections.abc import Iterable, Mapping

from scipy import stats

from experiments.downsampling.published import ROWS
from experiments.downsampling.study import JUMP, Outcome

NOTES = f"""
*Error in keypoints* E: mean over images of the summed distance of the keypoints from the
baseline's, in units of [-1, 1]; ± is its standard error. *Without shift*: E after the median
movement of each image's keypoints is taken away. *Jumped*: keypoints that moved by more than
{JUMP:g} small pixels, to another place of the image. *Offset*: where small pixel i reads, less 4 i;
*shift*: how far keypoints move together (right, down); both in pixels of the large image.
*Aliased*: share of the small image's energy that comes from beyond its Nyquist frequency. *PSNR*:
of what Lanczos restores from it, every sample at its own place. *CPU*: one thread, one image,
median of the process's own time.
"""


def beside_published(outcomes: Mapping[str, Outcome], times: Mapping[str, float]) -> str:
    """The published table, and this study's columns beside it.

    Args:
      outcomes: by key; what isn't there is left out.
      times: CPU milliseconds by key, may be empty.
    """
    lines = [
        "| Interpolation methods | Error in keypoints | published | aligned | "
        "Average CPU Running time | published |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for method, row in ROWS.items():
        native, aligned = (outcomes.get(f"{method}/{phase}") for phase in ("native", "aligned"))
        if native is None:
            continue
        cells = [
            row.title,
            f"{native.error:.4f}",
            f"{row.error:.4f}",
            f"{aligned.error:.4f}" if aligned else "",
            _milliseconds(times.get(native.key)),
            _milliseconds(row.milliseconds),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def everything(
    outcomes: Iterable[Outcome],
    times: Mapping[str, float],
    device_times: Mapping[str, float] | None,
) -> str:
    """All reductions with all numbers.

    Args:
      outcomes: the rows.
      times: CPU milliseconds by key, may be empty.
      device_times: milliseconds of another default device; None for no such column.
    """
    titles = ["method", "phase", "offset", "E", "median E", "distance, small px", "jumped"]
    titles += ["shift", "E without shift", "median", "aliased", "PSNR, dB", "CPU, ms"]
    titles += ["device, ms"] if device_times is not None else []
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "--:|" * (len(titles) - 2)]
    for o in outcomes:
        cells = [
            o.method.replace("_", " "),
            o.phase,
            f"{o.offset:g}",
            f"{o.error:.4f} ± {o.error_standard_error:.4f}",
            f"{o.error_median:.4f}",
            f"{o.distance:.3f}",
            f"{100 * o.jumps:.1f} %",
            ", ".join(f"{s + 0.0:.2f}" for s in o.shift),
            f"{o.residual:.4f} ± {o.residual_standard_error:.4f}",
            f"{o.residual_median:.4f}",
            f"{100 * o.aliased:.2f} %",
            f"{o.psnr:.2f}",
            _milliseconds(times.get(o.key)),
        ]
        if device_times is not None:
            cells.append(_milliseconds(device_times.get(o.key)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def phase_shares(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, float]]:
    """By method, how much of the error goes away where the samples are the baseline's.

    Returns:
      For every method that has both phases: "mean" and "median", 1 - E(aligned) / E(native).
    """
    shares = {}
    for outcome in outcomes.values():
        aligned = outcomes.get(f"{outcome.method}/aligned")
        if outcome.phase == "native" and aligned is not None and outcome.error > 0:
            shares[outcome.method] = {
                "mean": 1 - aligned.error / outcome.error,
                "median": 1 - aligned.error_median / (outcome.error_median or float("nan")),
            }
    return shares


def orders(outcomes: Mapping[str, Outcome], times: Mapping[str, float]) -> dict[str, float]:
    """Kendall's tau between this study's order of the published methods and the published one.

    Returns:
      "error", "median error" and "time": 1 for the same order, -1 for the reverse. Without the
      baseline, whose error is 0 by definition, except for times.
    """
    rows = {m: row for m, row in ROWS.items() if f"{m}/native" in outcomes}
    natives = {method: outcomes[f"{method}/native"] for method in rows}
    compared = [method for method in rows if method != "gaussian"]
    published = [rows[method].error for method in compared]
    found = {}
    if len(compared) > 1:
        found["error"] = _tau([natives[m].error for m in compared], published)
        found["median error"] = _tau([natives[m].error_median for m in compared], published)
    timed = [method for method in rows if f"{method}/native" in times]
    if len(timed) > 1:
        ours = [times[f"{method}/native"] for method in timed]
        found["time"] = _tau(ours, [rows[method].milliseconds for method in timed])
    return found


def _tau(ours: list[float], published: list[float]) -> float:
    return float(stats.kendalltau(ours, published).statistic)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4f} ms"
