"""What a run has come to: numbers beside those before training, and pictures to look at."""

import json
import pathlib

import jax
import numpy as np

from aa_jax.training.pictures import save_png
from aa_jax.training.whole_file import replacing
from aa_jax.training.writing import write_film
from experiments.motion import networks, reconstruction, videos
from experiments.motion.animation import Animator, moved_keypoints
from experiments.motion.drawing import draw_keypoints, picture_strip, to_bytes

_FILMS = 3
_FRAMES = 6


def write_report(workdir: pathlib.Path) -> pathlib.Path:
    """Evaluates a run's last checkpoint; writes `report.md`, `report.json`, pictures, the model.

    The model is `model.safetensors`, for `scripts/animate.py` and the downsampling study.

    Args:
        workdir: of the run.

    Returns:
        The path of the report.
    """
    trained = networks.load_run(workdir)
    networks.save(trained, workdir / "model.safetensors")
    films = videos.open_test_videos(trained.config)
    animator = Animator(trained, batch_size=trained.config.eval_batch_size)
    after = reconstruction.evaluate(animator, films).means()
    before = first_evaluation(workdir / "metrics.jsonl")
    strips = [
        reconstruction_strip(animator, films[i]["frames"]) for i in range(len(films))[:_FILMS]
    ]
    save_png(workdir / "reconstruction.png", np.concatenate(strips))
    frames = transfer_film(animator, films)
    write_film(workdir / "transfer.mp4", frames, 12)
    save_png(workdir / "transfer.png", np.concatenate(frames[:: max(1, len(frames) // 4)][:4]))
    rows = [
        f"| {reconstruction.NAMES[name]} | {_shown(before.get(name))} | {after[name]:.4f} |"
        for name in after
    ]
    text = [
        f"# {trained.config.name}",
        "",
        f"{len(films)} films of {trained.config.data.source} that training has not seen; "
        f"{trained.source}.",
        "",
        "| | before training | after |",
        "|---|---|---|",
        *rows,
        "",
        "![source, then driving frames over generated ones](reconstruction.png)",
        "",
        "Rows: real frames with the keypoints found in them; generated ones, each from the first "
        "real frame and the keypoints above it; where the flow takes the source alone.",
        "",
        "![a source moved by another film](transfer.png)",
        "",
        "Source, driving frame, the source moved by it (relative mode). As a film: `transfer.mp4`.",
        "",
    ]
    numbers = {"before": before, "after": after, "model": trained.source}
    files = {"report.json": json.dumps(numbers, indent=2), "report.md": "\n".join(text)}
    for name, content in files.items():
        with replacing(workdir / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return workdir / "report.md"


def first_evaluation(path: pathlib.Path) -> dict[str, float]:
    """The evaluation of step 0 in a run's log, without the prefix of its names."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found = {k.removeprefix("eval_"): v for k, v in row.items() if k.startswith("eval_")}
        if found and row.get("step") == 0:
            return found
    return {}


def reconstruction_strip(animator: Animator, frames: np.ndarray) -> np.ndarray:
    """Real frames with keypoints, generated ones, and the deformed source, one row each."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)]
    keypoints = animator.keypoints(chosen)
    source = jax.tree.map(lambda x: x[:1], keypoints)
    parts = list(animator.render(chosen[0], source, keypoints))
    made = np.concatenate([part.frames for part in parts])
    deformed = np.concatenate([part.deformed for part in parts])
    marked = [draw_keypoints(f, k) for f, k in zip(chosen, keypoints.value, strict=True)]
    return picture_strip([np.stack(marked), to_bytes(made), to_bytes(deformed)])


def transfer_film(animator: Animator, films) -> list[np.ndarray]:
    """Frames of a film: the first frame of one film, another film, and the one moved by it."""
    source, driving = films[0]["frames"][0], films[len(films) - 1]["frames"]
    kp_source, kp_driving = animator.keypoints(source[None]), animator.keypoints(driving)
    moved = moved_keypoints(kp_source, kp_driving, scale="none")
    parts = animator.render(source, kp_source, moved)
    made = to_bytes(np.concatenate([part.frames for part in parts]))
    return [
        picture_strip([np.stack([source, drive, frame])])
        for drive, frame in zip(driving, made, strict=True)
    ]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
