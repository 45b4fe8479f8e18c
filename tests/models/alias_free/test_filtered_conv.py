"""Filtered convolutions against their definition, and the discriminator that is made of them."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from scipy import signal

from aa_jax import metrics
from aa_jax.models.alias_free import Discriminator, config_t
from aa_jax.models.alias_free.filtered_conv import FilteredConv, map_filter
from tests.ops.oracles import correlate_valid, upfirdn2d
from tests.tolerances import OP, relative_error


def test_filters_are_those_of_the_generators_plan():
    plan = config_t(256)
    # Its critically sampled layers, and the non-critical ones that come nearest to it.
    for index, side in ((12, 256), (9, 128)):
        theirs, ours = plan.layers[index].down_filter, map_filter(side, 256)
        assert (ours.rate, ours.radial, ours.numtaps) == (theirs.rate, False, 12)
        np.testing.assert_allclose(ours.taps(), theirs.taps(), atol=1e-9)
    np.testing.assert_allclose(map_filter(8, 64).taps(), map_filter(128, 256).taps(), atol=1e-12)


def conv_by_definition(x, kernel, bias, *, down, taps, gain, clamp):
    """One image (H, W, I): the low-pass filter, every sum of the convolution, the finer grid."""
    margin, taps = kernel.shape[0] // 2, np.outer(taps, taps)
    maps = np.moveaxis(x, 2, 0)
    if down == 2:
        # Six samples in front of and behind every kept position's centre, half a sample further.
        pads = (5 + margin,) * 4
        maps = [upfirdn2d(m, taps, up=(1, 1), down=(1, 1), padding=pads) for m in maps]
    else:
        maps = [np.pad(m, margin) for m in maps]
    kernel = kernel / np.sqrt(kernel[..., 0].size)
    results = []
    for o in range(kernel.shape[3]):
        y = sum(correlate_valid(m, kernel[:, :, i, o]) for i, m in enumerate(maps))[::down, ::down]
        fine = upfirdn2d(
            y + bias[o], taps, up=(2, 2), down=(1, 1), padding=(11, 10, 11, 10), gain=4
        )
        fine = np.clip(gain * np.where(fine < 0, 0.2 * fine, fine), -clamp, clamp)
        results.append(upfirdn2d(fine, taps, up=(1, 1), down=(2, 2), padding=(0, 0, 0, 0)))
    return np.stack(results, -1)


@pytest.mark.parametrize(("side", "down", "size"), [(3, 1, 6), (3, 2, 12), (1, 1, 6)])
def test_conv_agrees_with_its_definition(rng, side, down, size):
    design = map_filter(size // down, size)
    nyquist = size // down / 2
    cutoff = nyquist * (np.sqrt(0.5) if down == 2 else 1)
    stopband = nyquist * (1 if down == 2 else 2**0.3)
    taps = signal.firwin(12, cutoff, width=2 * (stopband - cutoff), fs=4 * nyquist)
    with jax.enable_x64(True):
        layer = FilteredConv(
            2,
            3,
            side,
            down=down,
            gain=0.7,
            clamp=0.9,
            low_pass=design,
            param_dtype=jnp.float64,
            rngs=nnx.Rngs(0),
        )
        layer.bias[...] = jnp.asarray(rng.normal(size=3))
        x = rng.normal(size=(1, size, size, 2))
        y = jax.jit(layer)(jnp.asarray(x))
    expected = conv_by_definition(
        x[0],
        np.asarray(layer.kernel[...]),
        np.asarray(layer.bias[...]),
        down=down,
        taps=taps,
        gain=0.7 * np.sqrt(2),
        clamp=0.7 * 0.9,
    )
    assert y.shape == (1, size // down, size // down, 3)
    assert relative_error(y[0], expected) <= OP["float64"]


def test_linear_branch_is_filtered_once(rng):
    x = rng.normal(size=(8, 8, 1))
    layer = FilteredConv(
        1,
        1,
        1,
        down=2,
        use_bias=False,
        activation="identity",
        low_pass=map_filter(4, 8),
        rngs=nnx.Rngs(0),
    )
    taps = signal.firwin(12, 2 * np.sqrt(0.5), width=4 - 4 * np.sqrt(0.5), fs=8)
    expected = upfirdn2d(
        x[..., 0], np.outer(taps, taps), up=(1, 1), down=(2, 2), padding=(5, 5, 5, 5)
    )
    y = layer(jnp.asarray(x[None], jnp.float32))[0, ..., 0]
    assert relative_error(y, float(layer.kernel[0, 0, 0, 0]) * expected) <= OP["float32"]


def pictures(rng, count: int, size: int) -> np.ndarray:
    """Noise whose amplitude falls with the inverse of the frequency, as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    spectrum = np.fft.rfft2(rng.normal(size=(count, 3, size, size))) / (frequency + 1 / size)
    noise = np.fft.irfft2(spectrum, (size, size))
    return np.moveaxis(noise / noise.std(), 1, -1).astype(np.float32)


def test_maps_move_with_the_image(rng):
    """Of blocks as deep as the picture allows; where both are bad, nothing would be shown."""
    views = pictures(rng, 2, 144)
    decibels = {}
    for antialias in ("binomial", "alias_free"):
        model = Discriminator(
            16, channel_base=128, channel_max=8, antialias=antialias, rngs=nnx.Rngs(0)
        )

        def apply(x, record, model=model):
            # Blocks mind no size: a large picture keeps its borders out of the comparison.
            for block in model.blocks:
                x = block(x)
                record(f"b{block.resolution}", x)

        motions = (metrics.Translation(1, 1), metrics.Translation(0.5, 0.5))
        audit = metrics.audit_network(apply, views, crop_size=128, motions=motions)
        assert audit.layers == ("b16", "b8")
        decibels[antialias] = audit.decibels
    # 21 and 18 dB for a pixel, 14 and 10 dB for a half, which the image's own map bounds.
    gain = decibels["alias_free"] - decibels["binomial"]
    assert (gain[:, 0] > 12).all() and (gain[:, 1] > 8).all(), decibels
    assert (decibels["alias_free"] > 30).all()


@pytest.fixture(scope="module")
def both():
    """The same weights in both discriminators: graph definitions, and the one state."""
    options = dict(
        img_channels=1, channel_base=32, channel_max=4, param_dtype=jnp.float64, rngs=nnx.Rngs(0)
    )
    with jax.enable_x64(True):
        graphs, states = zip(
            *(
                nnx.split(Discriminator(8, antialias=kind, **options))
                for kind in ("binomial", "alias_free")
            ),
            strict=True,
        )
    return graphs, states


def test_parameters_are_the_same(both):
    graphs, states = both
    shapes = [jax.tree.map(jnp.shape, nnx.to_pure_dict(state)) for state in states]
    assert shapes[0] == shapes[1]


def test_the_penalty_on_gradients_has_the_gradient_of_its_differences(rng, both):
    """R1, whose gradient is a second derivative, against central differences."""
    graphdef, state = both[0][1], both[1][0]
    with jax.enable_x64(True):
        images = jnp.asarray(rng.normal(size=(4, 8, 8, 1)))
        flat, unravel = jax.flatten_util.ravel_pytree(state)

        def penalty(flat):
            logits = functools.partial(nnx.merge, graphdef, unravel(flat))
            dimg = jax.grad(lambda images: logits()(images).sum())(images)
            return jnp.sum(dimg**2)

        direction = jnp.asarray(rng.normal(size=flat.shape))
        along = jax.jit(jax.value_and_grad(lambda t: penalty(flat + t * direction)))
        step = 1e-7  # small enough for few samples to cross the kink of the leaky ReLU
        differences = (along(step)[0] - along(-step)[0]) / (2 * step)
        assert relative_error(along(0.0)[1], differences) <= 1e-4
        assert abs(differences) > 1e-3


def test_half_precision(rng, both):
    images = jnp.asarray(rng.normal(size=(4, 8, 8, 1)), jnp.float32)
    state = jax.tree.map(lambda v: v.astype(jnp.float32), both[1][0])
    logits = {}
    for half in (None, "bfloat16"):
        model = nnx.eval_shape(
            lambda half=half: Discriminator(
                8,
                img_channels=1,
                channel_base=32,
                channel_max=4,
                antialias="alias_free",
                half_dtype=half,
                rngs=nnx.Rngs(0),
            )
        )
        graphdef = nnx.graphdef(model)
        recorded = {}
        run = jax.jit(
            lambda state, x, g=graphdef, r=recorded: nnx.merge(g, state)(x, record=r.__setitem__)
        )
        logits[half] = run(state, images)
        assert recorded["b8"].dtype == (half or "float32")
    assert 0 < relative_error(logits["bfloat16"], logits[None]) <= 2 * OP["bfloat16"]


def test_unknown_kinds_are_named():
    with pytest.raises(ValueError, match="antialias must be one of binomial, alias_free, got 'bl"):
        Discriminator(8, antialias="blur", rngs=nnx.Rngs(0))
