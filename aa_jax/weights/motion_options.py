"""What a network of the motion model was built with: by the shapes of its tensors, and the rest."""

import dataclasses
import json
import re
from collections.abc import Mapping

import numpy as np

from aa_jax.models.motion import Resampling
from aa_jax.nn import AntiAlias
from aa_jax.weights.errors import WeightsError

# Tensors name blocks by number: no file may make us count further than this.
_MOST_BLOCKS = 16
# Side of the stored Gaussian -> the scale it belongs to, of those that are in use.
_SCALES = {5: 0.5, 9: 1 / 3, 13: 0.25, 29: 0.125}

_LARGEST_FRAME = 2**14
_LEAST_SCALE = 1 / 64

Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class MotionSettings:
    """What the shapes of tensors do not tell.

    Attributes:
      frame_size: height and width of the frames that the model knows.
      detector_scale, motion_scale: by which detector and dense motion network reduce them.
      corners: how flows are read, see `aa_jax.ops.grid_sample`.
      antialias, upsampling: see `aa_jax.models.motion.Resampling`.
      temperature: of the detector's maps.
      variance: of the Gaussians that mark keypoints.
    """

    frame_size: int = 256
    detector_scale: float = 0.25
    motion_scale: float = 0.25
    corners: str = "aligned"
    antialias: str = "none"
    upsampling: str = "nearest"
    temperature: float = 0.1
    variance: float = 0.01

    @property
    def resampling(self) -> Resampling:
        """How the networks change resolution."""
        return Resampling(AntiAlias(self.antialias), self.upsampling)


def settings_to_json(settings: MotionSettings) -> str:
    """Settings as text."""
    return json.dumps(dataclasses.asdict(settings))


def settings_from_json(text: str | None) -> MotionSettings:
    """Settings from text that may come from anywhere.

    Raises:
      WeightsError: there is none, or it says something that no model of ours can be.
    """
    if text is None:
        raise WeightsError("the file has no settings of a motion model: another model's?")
    try:
        settings = MotionSettings(**json.loads(text))
        settings.resampling  # noqa: B018  # raises for unknown names
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"the settings of the motion model can't be read: {error}") from error
    scales = (settings.detector_scale, settings.motion_scale)
    numbers = (*scales, settings.temperature, settings.variance)
    if (
        not all(isinstance(number, int | float) and 0 < number <= 1 for number in numbers)
        or not isinstance(settings.frame_size, int)
        or not 1 <= settings.frame_size <= _LARGEST_FRAME
        or min(scales) < _LEAST_SCALE
        or settings.corners not in ("aligned", "half_pixel")
    ):
        raise WeightsError(f"the settings of the motion model are out of range: {text[:400]}")
    return settings


def published_settings(parts: Mapping[str, Tensors]) -> MotionSettings:
    """Settings of a published checkpoint, whose stored Gaussians tell the scales.

    Raises:
      WeightsError: a Gaussian is of no scale in use.
    """
    return MotionSettings(
        detector_scale=_scale(parts.get("kp_detector", {}), "down.weight"),
        motion_scale=_scale(parts.get("generator", {}), "dense_motion_network.down.weight"),
    )


def detector_options(tensors: Tensors, settings: MotionSettings) -> dict:
    """Options of `KeypointDetector`.

    Raises:
      WeightsError: the tensors are no keypoint detector's.
    """
    num_kp = _shape(tensors, "kp.weight", 4)[0]
    jacobian = "none"
    if "jacobian.weight" in tensors:
        maps = _shape(tensors, "jacobian.weight", 4)[0]
        if maps not in (4, 4 * num_kp):
            raise WeightsError(
                f"jacobian.weight must have 4 or {4 * num_kp} outputs for {num_kp} keypoints, "
                f"has {maps}"
            )
        jacobian = "single" if maps == 4 and num_kp > 1 else "per_keypoint"
    channels = _shape(tensors, "predictor.encoder.down_blocks.0.conv.weight", 4)[1]
    return dict(
        num_kp=num_kp,
        channels=channels,
        estimate_jacobian=jacobian,
        scale_factor=settings.detector_scale,
        temperature=settings.temperature,
        resampling=settings.resampling,
        **_hourglass(tensors, "predictor."),
    )


def generator_options(tensors: Tensors, settings: MotionSettings) -> dict:
    """Options of `MotionGenerator`.

    Raises:
      WeightsError: the tensors are no such generator's.
    """
    motion = "dense_motion_network."
    first = _shape(tensors, "first.conv.weight", 4)
    # Small models may do without halving, or without residual blocks.
    down = _blocks(tensors, r"down_blocks\.(\d+)\.conv\.weight", least=0)
    widths = [_shape(tensors, f"down_blocks.{i}.conv.weight", 4)[0] for i in range(down)]
    return dict(
        num_kp=_shape(tensors, motion + "mask.weight", 4)[0] - 1,
        channels=first[1],
        block_expansion=first[0],
        max_features=max([first[0], *widths]),
        num_down_blocks=down,
        num_bottleneck_blocks=_blocks(tensors, r"bottleneck\.r(\d+)\.conv1\.weight", least=0),
        estimate_occlusion=motion + "occlusion.weight" in tensors,
        corners=settings.corners,
        resampling=settings.resampling,
        dense_motion=dict(
            scale_factor=settings.motion_scale,
            variance=settings.variance,
            **_hourglass(tensors, motion + "hourglass."),
        ),
    )


def discriminator_options(tensors: Tensors) -> dict:
    """Options of `MultiScaleDiscriminator`.

    Raises:
      WeightsError: the tensors are no such discriminator's.
    """
    found = (re.match(r"discs\.([\d-]+)\.", name) for name in tensors)
    scales = sorted({match[1] for match in found if match}, reverse=True)
    if not scales or not all(re.fullmatch(r"\d+(-\d+)?", scale) for scale in scales):
        raise WeightsError("the discriminator has no entries discs.<scale>: another model's?")
    prefix = f"discs.{scales[0]}."
    pattern = re.escape(prefix) + r"down_blocks\.(\d+)\.conv\.weight(?:_orig)?"
    blocks = _blocks(tensors, pattern)
    spectral = prefix + "down_blocks.0.conv.weight_orig" in tensors
    leaf = "conv.weight_orig" if spectral else "conv.weight"
    shapes = [_shape(tensors, f"{prefix}down_blocks.{i}.{leaf}", 4) for i in range(blocks)]
    if not shapes or shapes[0][0] % 2:
        raise WeightsError("the discriminator's first block must have an even number of outputs")
    inputs = shapes[0][1]
    return dict(
        scales=tuple(float(scale.replace("-", ".")) for scale in scales),
        block_expansion=shapes[0][0] // 2,
        max_features=max(shape[0] for shape in shapes),
        num_blocks=blocks,
        spectral_norm="power_iteration" if spectral else "none",
        channels=min(inputs, 3),
        keypoint_maps=max(inputs - 3, 0),
    )


def _hourglass(tensors: Tensors, prefix: str) -> dict:
    count = _blocks(tensors, re.escape(prefix) + r"encoder\.down_blocks\.(\d+)\.conv\.weight")
    name = prefix + "encoder.down_blocks.{}.conv.weight"
    widths = [_shape(tensors, name.format(i), 4)[0] for i in range(count)]
    last = _shape(tensors, f"{prefix}decoder.up_blocks.{count - 1}.conv.weight", 4)[0]
    return dict(block_expansion=last, num_blocks=count, max_features=max([last, *widths]))


def _blocks(tensors: Tensors, pattern: str, *, least: int = 1) -> int:
    """How many blocks 0, 1, ... there are."""
    matches = (re.fullmatch(pattern, name) for name in tensors)
    numbers = {int(match[1][:4]) for match in matches if match}
    count = len(numbers)
    if not least <= count <= _MOST_BLOCKS or numbers != set(range(count)):
        shown = ", ".join(map(str, sorted(numbers)[:8])) or "none"
        raise WeightsError(
            f"blocks {pattern.replace(chr(92), '')} must be numbered from 0, up to "
            f"{_MOST_BLOCKS} of them, found {shown}: another model's?"
        )
    return count


def _shape(tensors: Tensors, name: str, rank: int) -> tuple[int, ...]:
    if name not in tensors:
        raise WeightsError(f"the checkpoint has no entry {name}: another model's?")
    shape = tensors[name].shape
    if len(shape) != rank or 0 in shape:
        raise WeightsError(f"{name} must have {rank} axes, none of them empty, has shape {shape}")
    return shape


def _scale(tensors: Tensors, name: str) -> float:
    """Which scale a stored Gaussian belongs to; none stored: frames are not reduced."""
    if name not in tensors:
        return 1.0
    side = _shape(tensors, name, 4)[-1]
    if side not in _SCALES:
        known = ", ".join(f"{taps} ({scale:.4g})" for taps, scale in _SCALES.items())
        raise WeightsError(f"{name} must have a side (scale) of {known}, has {side}")
    return _SCALES[side]
