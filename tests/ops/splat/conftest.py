"""What the tests of mixtures share."""

import jax
import pytest


@pytest.fixture
def x64():
    """Lets arrays be float64."""
    with jax.enable_x64(True):
        yield
