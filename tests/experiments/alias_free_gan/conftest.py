"""An uninterrupted run, to compare interrupted and shared ones with."""

import pytest

from tests.experiments.alias_free_gan import tiny_config
from tests.training import runs


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The folder of a run on one device."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    runs.run(tiny_config.command(workdir), runs.environment(devices=1))
    return workdir
