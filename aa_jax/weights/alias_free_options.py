"""What a file says an alias-free network is, checked, in terms of our constructors.

Two dialects: the constructor keywords of the official code, found in network pickles, and our own
options as JSON, which travel in the metadata of safetensors files. Both are the word of a stranger:
every option is held against a type and a range before anything is planned or allocated.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from aa_jax.models.alias_free import GeneratorPlan, generator_plan
from aa_jax.weights.errors import WeightsError

MAX_JSON = 1 << 14
"""Longest configuration accepted in a file's metadata, in characters; ours have about 800."""


@dataclasses.dataclass(frozen=True)
class _Range:
    """Which values an option may have: far around anything sensible, and small enough to harm not.

    Attributes:
        kind: ``int``, ``float`` (integers too) or ``bool``.
        low, high: least and greatest value.
        optional: whether ``None`` will do.
    """

    kind: type
    low: float = 0
    high: float = 1
    optional: bool = False

    def misfit(self, name: str, value: Any) -> list[str]:
        """One line that says what is wrong with a value, or none."""
        kinds = (int, float) if self.kind is float else (self.kind,)
        if value is None and self.optional:
            return []
        if type(value) in kinds and self.low <= value <= self.high:
            return []
        what = f"{self.kind.__name__} from {self.low:g} to {self.high:g}"
        what += " or None" if self.optional else ""
        return [f"{name} must be {what}, got {_shown(value)}"]


_RESOLUTION = _Range(int, 8, 1 << 14)
_WIDTH = _Range(int, 1, 1 << 16)
_NETWORK = {
    "c_dim": _Range(int, 0, 1 << 16),
    "img_channels": _Range(int, 1, 1024),
    "channel_base": _Range(int, 1, 1 << 24),
    "channel_max": _WIDTH,
    "num_fp16_res": _Range(int, 0, 64),
    "conv_clamp": _Range(float, 0, 1e30, optional=True),
}
_PLAN = {
    **{name: _NETWORK[name] for name in ("img_channels", "channel_base", "channel_max")},
    "num_layers": _Range(int, 2, 64),
    "num_critical": _Range(int, 1, 64),
    "first_cutoff": _Range(float, 0, 1 << 16),
    "first_stopband": _Range(float, 0, 1 << 16),
    "last_stopband_rel": _Range(float, 0, 1 << 16),
    "margin_size": _Range(int, 0, 1024),
    "num_fp16_res": _NETWORK["num_fp16_res"],
    "conv_kernel": _Range(int, 1, 31),
    "filter_size": _Range(int, 1, 64),
    "lrelu_upsampling": _Range(int, 1, 16),
    "use_radial_filters": _Range(bool),
}
# Of plans that we write; the official constructor does not know it.
_OWN = {"use_linear_upsampling": _Range(bool)}
_MAPPING = {
    "mapping_layers": _Range(int, 1, 64),
    "mapping_learning_rate_multiplier": _Range(float, 1e-9, 1e9),
    "w_avg_beta": _Range(float, optional=True),
}
_GENERATOR = {
    "z_dim": _WIDTH,
    "c_dim": _NETWORK["c_dim"],
    "w_dim": _WIDTH,
    "output_scale": _Range(float, -1e6, 1e6),
    "conv_clamp": _NETWORK["conv_clamp"],
    "magnitude_ema_beta": _Range(float),
}
_EPILOGUE = {
    "mbstd_group_size": _Range(int, 1, 1 << 16, optional=True),
    "mbstd_num_channels": _Range(int, 0, 1 << 16),
}
_OFFICIAL_MAPPING = {
    "num_layers": "mapping_layers",
    "lr_multiplier": "mapping_learning_rate_multiplier",
    "w_avg_beta": "w_avg_beta",
}


def generator_plan_of(init_kwargs: Mapping[str, Any]) -> tuple[GeneratorPlan, dict[str, Any]]:
    """Plans the generator that the official constructor makes of these keywords.

    Args:
        init_kwargs: as ``PickledNetwork`` has them; what is absent has its official default.

    Returns:
        The plan, and the other options of our ``Generator``.

    Raises:
        WeightsError: keywords are unknown or missing, or values of another type or out of range;
            all are named.
    """
    plain = {"img_resolution": _RESOLUTION, **_PLAN, **_GENERATOR}
    given = _flattened(init_kwargs, {"mapping_kwargs": _OFFICIAL_MAPPING})
    needed = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
    _check("generator", given, plain | _MAPPING, needed)
    plan = {name: given.pop(name) for name in _PLAN if name in given}
    return _planned(plan | {"resolution": given.pop("img_resolution")}), given


def discriminator_options_of(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Options of our ``Discriminator`` for the official constructor's keywords.

    ``freeze_layers`` concerns training only and is left out.

    Args:
        init_kwargs: as ``PickledNetwork`` has them; what is absent has its official default.

    Raises:
        WeightsError: keywords are unknown or missing, values of another type or out of range, or
            ask for what isn't implemented, such as an architecture other than ``"resnet"``.
    """
    given = _flattened(
        init_kwargs,
        {
            "block_kwargs": {"freeze_layers": "freeze_layers"},
            "mapping_kwargs": _OFFICIAL_MAPPING,
            "epilogue_kwargs": {name: name for name in _EPILOGUE},
        },
    )
    architecture = given.pop("architecture", "resnet")
    if architecture != "resnet":
        raise WeightsError(
            f"the discriminator's architecture must be 'resnet', got {_shown(architecture)}"
        )
    limits = {
        "img_resolution": _RESOLUTION,
        **_NETWORK,
        "cmap_dim": _Range(int, 0, 1 << 16, optional=True),
        "freeze_layers": _Range(int, 0, 1 << 16),
        "mapping_layers": _MAPPING["mapping_layers"],
        # Fixed in our network; a run that changed it is refused.
        "mapping_learning_rate_multiplier": _Range(float, 0.01, 0.01),
        **_EPILOGUE,
    }
    _check("discriminator", given, limits, ("c_dim", "img_resolution", "img_channels"))
    for name in ("freeze_layers", "mapping_learning_rate_multiplier"):
        given.pop(name, None)
    if not given["c_dim"]:
        given.pop("cmap_dim", None)
    return given | {"resolution": given.pop("img_resolution")}


def generator_to_json(plan: GeneratorPlan, options: Mapping[str, Any]) -> str:
    """Writes a generator's configuration as JSON, which ``generator_from_json`` reads."""
    return json.dumps({"plan": dict(plan.options), "generator": dict(options)}, allow_nan=False)


def generator_from_json(text: str) -> tuple[GeneratorPlan, dict[str, Any]]:
    """Reads what ``generator_to_json`` wrote, or a stranger says it did.

    Raises:
        WeightsError: it is too long, no JSON, or has unknown, missing or unfit options; all are
            named.
    """
    try:
        if len(text) > MAX_JSON:
            raise ValueError(f"it has {len(text)} characters, expected at most {MAX_JSON}")
        found = json.loads(text)
        if type(found) is not dict or found.keys() != {"plan", "generator"}:
            raise ValueError("expected a dictionary of 'plan' and 'generator'")
        plan, options = found["plan"], found["generator"]
        if type(plan) is not dict or type(options) is not dict:
            raise ValueError("'plan' and 'generator' must be dictionaries")
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"the file's configuration can't be read: {error}") from error
    half_dtype = options.pop("half_dtype", None)
    if half_dtype not in (None, "float16", "bfloat16"):
        raise WeightsError(
            f"half_dtype must be float16, bfloat16 or None, got {_shown(half_dtype)}"
        )
    _check("generator", options, _GENERATOR | _MAPPING, ("z_dim", "c_dim", "w_dim"))
    # (height, width), as a plan has it.
    sides = plan.pop("resolution", None)
    if type(sides) is not list or len(sides) != 2:
        raise WeightsError(f"resolution must be a list of height and width, got {_shown(sides)}")
    plan["height"], plan["width"] = sides
    sides_of = {"height": _RESOLUTION, "width": _RESOLUTION}
    _check("generator", plan, _PLAN | _OWN | sides_of, plan)
    resolution = plan.pop("height"), plan.pop("width")
    return _planned(plan | {"resolution": resolution}), options | {"half_dtype": half_dtype}


def _planned(options: dict[str, Any]) -> GeneratorPlan:
    try:
        return generator_plan(**options)
    except ValueError as error:
        raise WeightsError(f"the file's configuration makes no generator: {error}") from error


def _flattened(given: Mapping[str, Any], groups: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The keywords with those of nested dictionaries among them, under our names for them.

    A nested keyword without a name of ours becomes ``group.keyword``, which no table knows.
    """
    flat = {name: value for name, value in given.items() if name not in groups}
    for group, names in groups.items():
        inner = given.get(group, {})
        if type(inner) is not dict:
            raise WeightsError(f"{group} must be a dictionary, got {type(inner).__name__}")
        flat |= {names.get(name, f"{group}.{name}"): value for name, value in inner.items()}
    return flat


def _check(
    network: str, given: Mapping[str, Any], limits: Mapping[str, _Range], needed: Iterable[str]
) -> None:
    problems = [f"{name} is missing" for name in needed if name not in given]
    for name, value in given.items():
        if name in limits:
            problems += limits[name].misfit(name, value)
        else:
            problems.append(f"{name[:80]} is unknown")
    if problems:
        raise WeightsError(
            f"the {network}'s configuration is not one of StyleGAN3's T and R as known here: "
            + "; ".join(problems)
        )


def _shown(value: Any) -> str:
    """A number or the start of a string; of containers only the type, for they may nest deeply."""
    plain = value is None or type(value) in (bool, int, float, str)
    return f"{value!r:.80}" if plain else type(value).__name__
