"""A primitive of the tests' own: which implementation runs, and where the choice falls."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.extend.core import Primitive

from aa_jax.ops.platforms import PLATFORMS, choose_at_lowering

CHOICES = []


def _run(x, *, implementation, platform=None):
    CHOICES.append((implementation, platform))
    return x + 1


@pytest.fixture(scope="module")
def primitive():
    made = Primitive("aa_jax_test_choice")
    made.def_abstract_eval(lambda x, *, implementation: x)
    choose_at_lowering(made, _run, static=("implementation",), interpreted=("interpreted",))
    return made


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_platform_is_known_when_lowered(primitive, wrap):
    CHOICES.clear()
    x = jnp.arange(3.0)
    result = wrap(lambda x: primitive.bind(x, implementation="xla"))(x)
    np.testing.assert_array_equal(result, x + 1)
    assert CHOICES and set(CHOICES) == {("xla", "other")}


def test_lowered_for_another_platform(primitive):
    CHOICES.clear()
    traced = jax.jit(lambda x: primitive.bind(x, implementation=None)).trace(jnp.ones(2))
    for platform in PLATFORMS[1:]:
        traced.lower(lowering_platforms=(platform,))
    assert [platform for _, platform in CHOICES] == list(PLATFORMS[1:])


def test_interpreted_runs_at_once_without_a_platform(primitive):
    CHOICES.clear()
    primitive.bind(jnp.ones(2), implementation="interpreted")
    assert CHOICES == [("interpreted", None)]
