"""The motion models' configurations by name."""

import pytest

from aa_jax.training.config import ConfigError
from experiments.motion.configs import published, quickstart


def test_quickstarts_have_names_and_films_of_their_own():
    usual, other = quickstart.get_config(), quickstart.get_config("antialias=blur,subjects=any")
    assert (usual.name, other.name) == ("motion", "motion_blur_any")
    assert usual.data.cast and not other.data.cast
    assert (usual.model.upsampling, other.model.upsampling) == ("nearest", "binomial")
    with pytest.raises(ConfigError, match="subjects must be cast or any, got 'all'"):
        quickstart.get_config("subjects=all")


def test_published_models_differ_as_published():
    vox, adversarial = (published.get_config(f"name={name}") for name in ("vox-256", "vox-adv-256"))
    assert (vox.loss.adversarial, adversarial.loss.adversarial) == (0.0, 1.0)
    assert (vox.batch_size, adversarial.batch_size) == (40, 36)
    assert published.get_config("antialias=blur").model.upsampling == "binomial"
    with pytest.raises(ConfigError, match="vox-256"):
        published.get_config("name=vox-265")
