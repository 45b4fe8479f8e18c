"""What `scripts/animate.py` does: a picture moved by a film."""

import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Iterator

import jax
import numpy as np

from aa_jax.data.preparation_pictures import Fit, Rejected, decode, fit_picture
from aa_jax.data.video import open_video
from aa_jax.models.motion import Keypoints, best_frame
from aa_jax.training import gif, writing
from aa_jax.training.progress import with_progress
from experiments.motion import networks
from experiments.motion.animation import MODES, SCALES, Animator, moved_keypoints
from experiments.motion.drawing import picture_strip, to_bytes
from experiments.motion.landmarks_file import read_poses

BEST = "best"
FITS = {"crop": "center-crop", "stretch": "none"}
LAYOUTS = ("alone", "side_by_side")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a picture is animated.

    Attributes:
        mode, scale: as `moved_keypoints` takes them.
        initial: number of the driving frame whose pose is the source's; or "best", the one whose
            landmarks are most alike.
        landmarks: file of these landmarks, see `read_poses`; None: the model's own keypoints.
        fit: what is done with pictures of other sizes than the model's frames: "crop" resizes the
            central square, "stretch" all of it; None refuses them.
        layout: "alone", or "side_by_side": source, driving frame and the generated one.
        fps: frames a second; None: as the driving film.
        batch_size: frames at a time.
        max_frames: how many of the driving film's frames are used; None: all.

    Raises:
        ValueError: an option is unknown or out of range, or would have no effect.
    """

    mode: str = "relative"
    scale: str = "adapt"
    initial: int | str = 0
    landmarks: str | None = None
    fit: str | None = None
    layout: str = "alone"
    fps: float | None = None
    batch_size: int = 8
    max_frames: int | None = None

    def __post_init__(self):
        choices = {"mode": MODES, "scale": SCALES, "fit": (None, *FITS), "layout": LAYOUTS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                shown = ", ".join(filter(None, known))
                raise ValueError(f"{name} must be one of {shown}, got {getattr(self, name)!r}")
        if self.initial != BEST and (isinstance(self.initial, str) or self.initial < 0):
            raise ValueError(f"initial must be a frame's number from 0, got {self.initial!r}")
        if self.initial != 0 and self.mode == "absolute":
            raise ValueError("initial and best-frame have no effect in mode absolute; leave it out")
        if self.landmarks is not None and self.initial != BEST:
            raise ValueError("landmarks are for choosing the best frame: say best-frame too")
        for name, value in (("batch-size", self.batch_size), ("max-frames", self.max_frames)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.fps is not None:
            writing.check_rate(self.fps)


def animate(
    model: str, source: str, driving: str, output: pathlib.Path, options: Options | None = None
) -> str:
    """Films a picture as it moves like another film; frames are held a batch at a time.

    Args:
        model: a run's folder or a file, see `networks.load`.
        source: the picture.
        driving: the film, see `open_video`.
        output: `.mp4` or `.gif`, see `writing.check_output`.
        options: how.

    Returns:
        A line that says what was written.

    Raises:
        ValueError: an input cannot be read, or inputs do not fit together.
        OSError: the film cannot be written.
    """
    options = options or Options()
    picture = _picture(source)
    first, fps = _opened(driving)
    fps = _rate(options.fps or fps, output)
    if output.exists() and output.samefile(driving):
        raise ValueError(f"output must be another file than the driving film, got {output}")
    poses = read_poses(options.landmarks) if options.landmarks is not None else None
    trained = networks.load(model)
    side = trained.frame_size
    _check_sizes(picture, first, side, options.fit)
    film = Film(driving, side, options)
    picture = film.fitted(picture)
    animator = Animator(trained, batch_size=options.batch_size)
    kp_source = animator.keypoints(picture[None])
    number, total = options.initial, None
    if number == BEST:
        number, total = _best_frame(film, animator, kp_source, poses)
    initial = animator.keypoints(film.frame(number)[None])

    count = 0

    def move(driving: Keypoints) -> Keypoints:
        how = dict(mode=options.mode, scale=options.scale, initial=initial)
        return moved_keypoints(kp_source, driving, **how)

    def drawn() -> Iterator[np.ndarray]:
        nonlocal count
        for frame, made in animator.transfer(picture, kp_source, film.frames(), move):
            made = to_bytes(made)
            alone = options.layout == "alone"
            yield made if alone else picture_strip([np.stack([picture, frame, made])])
            count += 1

    try:
        writing.write_film(output, with_progress(drawn(), total, "frame"), fps)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ValueError(
            f"batch-size: the device has no memory for {options.batch_size} frames at a time; "
            "choose a smaller one"
        ) from error
    chosen = f", frame {number} taken for the source's pose" if options.initial == BEST else ""
    return f"{output}: {count} frames, {fps:g} a second{chosen}"


class Film:
    """The driving film as the model's frames, which can be read more than once.

    Args:
        path: of the film.
        side: of the model's frames.
        options: `fit` and `max_frames`.

    Attributes:
        is_whole: whether all of it is read.
    """

    def __init__(self, path: str, side: int, options: Options):
        self._path, self._most = path, options.max_frames
        self.is_whole = options.max_frames is None
        transform = FITS.get(options.fit, "none")
        self._fit = Fit(resolution=(side, side), transform=transform)

    def fitted(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 (H, W, 3) as a frame."""
        if picture.shape[:2] == self._fit.resolution:
            return picture
        return fit_picture(picture, self._fit)

    def frames(self) -> Iterator[np.ndarray]:
        """All frames, one by one."""
        return map(self.fitted, itertools.islice(open_video(self._path).frames, self._most))

    def frame(self, number: int) -> np.ndarray:
        """One frame.

        Raises:
            ValueError: the film is not so long.
        """
        count = 0
        for frame in self.frames():
            if count == number:
                return frame
            count += 1
        raise ValueError(
            f"initial must be the number of a driving frame, from 0 to {count - 1}, got {number}"
        )


def _best_frame(film: Film, animator: Animator, kp_source: Keypoints, poses) -> tuple[int, int]:
    """Number of the driving frame whose pose is most like the source's, and how many there are."""
    if poses is None:
        batches = animator.batches(with_progress(film.frames(), None, "pose of frame"))
        values = np.concatenate([animator.keypoints(batch).value for batch in batches])
        return best_frame(kp_source.value[0], values), len(values)
    source, driving = poses
    count = sum(1 for _ in film.frames())
    # Of a film that is cut short, the rest of the landmarks may be there.
    if len(driving) < count or (film.is_whole and len(driving) > count):
        raise ValueError(
            f"landmarks must be of the driving film's {count} frames, got those of {len(driving)}"
        )
    return best_frame(source, driving[:count]), count


def _check_sizes(source: np.ndarray, driving: np.ndarray, side: int, fit: str | None) -> None:
    if fit is None and {source.shape[:2], driving.shape[:2]} != {(side, side)}:
        raise ValueError(
            f"the source has {source.shape[1]} x {source.shape[0]} pixels and the driving film "
            f"{driving.shape[1]} x {driving.shape[0]}, but the model knows frames of {side} x "
            f"{side}: say --fit crop to cut out the central squares and resize them, or --fit "
            "stretch to resize all of them"
        )


def _picture(source: str) -> np.ndarray:
    try:
        return decode(source)
    except Rejected as error:
        raise ValueError(f"source: cannot read the picture {source}: {error}") from error


def _opened(driving: str) -> tuple[np.ndarray, float]:
    """The film's first frame, and frames a second; it is closed again."""
    video = open_video(driving)
    return next(video.frames), video.fps


def _rate(fps: float, output: pathlib.Path) -> float:
    try:
        writing.check_rate(fps)
    except ValueError as error:
        raise ValueError(f"{error} by the driving film: say --fps") from error
    if output.suffix.lower() == ".gif" and fps > gif.LARGEST_RATE:
        print(f"A GIF plays at {gif.LARGEST_RATE} frames a second at most.", file=sys.stderr)
    return fps
