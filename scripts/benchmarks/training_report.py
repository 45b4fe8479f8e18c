"""The training benchmark's rows and tables."""

from scripts.benchmarks.timing import Timing, ratio


def rows(timings: dict[str, dict[str, Timing]], costs: dict[str, dict]) -> list[dict]:
    """What the rounds say, a row for each phase and for the iteration.

    Of a PyTorch rival's numbers of threads the one with the quickest iteration is kept: on cores
    that others use too, threads may cost PyTorch many times what they give.

    Args:
      timings: by phase and rival; the rivals are "ours" and "<name>, <number> threads".
      costs: other entries of the rows, by phase.
    """
    quickest = {}
    totals = timings["iteration"]
    for label in sorted(totals, key=lambda label: totals[label].median_wall):
        quickest.setdefault(label.split(",")[0], label)
    kept = [label for label in totals if label in quickest.values()]
    return [
        {"phase": phase, **costs[phase], "rivals": {label: _entry(of, label) for label in kept}}
        for phase, of in timings.items()
    ]


def _entry(timings: dict[str, Timing], label: str) -> dict[str, float]:
    timing = timings[label]
    middle, spread = ratio(timing, timings["ours"])
    return {
        "wall_s": timing.median_wall / 1e3,
        "cpu_s": timing.median_cpu / 1e3,
        "ratio": middle,
        "spread": spread,
    }


def show(rows: list[dict], loop: dict[str, float], *, batch_size: int) -> None:
    """Prints phases, then seconds per 1000 images, then what the loader costs."""
    rivals = list(rows[0]["rivals"])
    print("| phase | compile, s | temporaries, MB | ours: wall, s | CPU, s |", end="")
    print("".join(f" {name}: wall, s | CPU, s | ratio |" for name in rivals[1:]))
    print("|---|" + "--:|" * (4 + 3 * len(rivals[1:])))
    for row in rows:
        cells = [row["phase"], f"{row['compile_s']:.1f}", f"{row['temporaries_mb']:.0f}"]
        for name, entry in row["rivals"].items():
            cells += [f"{entry['wall_s']:.3f}", f"{entry['cpu_s']:.3f}"]
            if name != "ours":
                cells.append(f"{entry['ratio']:.2f} +-{entry['spread'] / 2:.2f}")
        print("| " + " | ".join(cells) + " |")
    print("\n| | s/kimg: wall | CPU |\n|---|--:|--:|")
    for name, entry in rows[-1]["rivals"].items():
        scale = 1000 / batch_size
        print(f"| {name} | {scale * entry['wall_s']:.1f} | {scale * entry['cpu_s']:.1f} |")
    print(
        f"\nOur loop, fed by the loader: {loop['fed_s']:.3f} s for an iteration, "
        f"{loop['ratio']:.3f} of the time with a batch that stays on the device; waiting for data "
        f"{100 * loop['waiting_share']:.2f} % of it. Peak memory {loop['peak_megabytes']:.0f} MB.",
        flush=True,
    )
