"""Whole networks against reference activations, weights loaded by their PyTorch names."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.models.golden_networks import build, run
from tests.tolerances import NETWORK, relative_error

FAST = (
    "alexnet_features_blur_f4",
    "resnet18_adaptive_k3g8",
    "resnet18_aps_f3",
    "resnet18_blur_f4",
    "resnet18_lps_ddac3",
    "resnet18_plain",
    "vgg11_bn_features_blur_f4",
)
SLOW = (
    "densenet121_blur_f4",
    "mobilenet_v2_blur_f4",
    "resnet101_adaptive_k3g8",
    "resnet18_adaptive_k5g8",
    "resnet18_aps_f1",
    "resnet18_lps",
    "resnet18_lps_lpf3",
    "resnet50_adaptive_k3g8",
    "resnet50_blur_f3",
    "resnet50_plain",
    "resnext50_32x4d_blur_f4",
)
# In call order: what the recorded choices of a ResNet-18 are called.
SLOTS = ("first_pool", "maxpool.pool", "layer2.0.pool", "layer3.0.pool", "layer4.0.pool")
FAST_FLOAT32 = ("alexnet_features_blur_f4", "resnet18_adaptive_k3g8", "resnet18_blur_f4")


def cases():
    for name in FAST + SLOW:
        for dtype in ("float64", "float32"):
            fast = name in FAST and (dtype == "float64" or name in FAST_FLOAT32)
            marks = () if fast else pytest.mark.slow
            yield pytest.param(name, dtype, marks=marks, id=f"{name}-{dtype}")


@pytest.mark.parametrize(("name", "dtype"), list(cases()))
def test_agrees_with_reference(golden, name, dtype):
    reference = golden(f"anti_aliased/net_{name}.npz")
    with jax.enable_x64(dtype == "float64"):
        outputs = run(build(reference, param_dtype=jnp.dtype(dtype)), reference["x"])
    logits = outputs["logits"].astype(np.float64)
    compared = 0
    for key, expected in reference.items():
        kind, _, module = key.partition("_")
        if key == "logits":
            actual = _log_softmax(logits) if "lps" in name else logits
        elif key == "features":
            actual = outputs["features"]
        elif kind == "stage":
            actual = outputs[module][:1]
        elif kind in ("mean", "std"):
            actual = getattr(np, kind)(outputs[module].astype(np.float64), axis=(2, 3))
        elif key == "phase_logits":
            actual = np.stack([outputs[f"{slot}.logits"] for slot in SLOTS])
        elif key == "phase_idx" and dtype == "float64":
            # Phases differ by as little as 5e-6.
            actual = np.stack([outputs[f"{slot}.choice"] for slot in SLOTS])
            np.testing.assert_array_equal(actual, expected)
        else:
            continue
        compared += 1
        assert relative_error(actual, expected) <= NETWORK[dtype], key
    assert compared == 1 if "features" in reference else compared >= 16


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
