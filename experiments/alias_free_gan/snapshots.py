"""What a run leaves to look at: grids of real and generated pictures, and networks to use."""

import pathlib

import ml_collections
import numpy as np

from aa_jax import weights
from aa_jax.models import alias_free
from aa_jax.training import distributed, pictures
from aa_jax.training.state import merge
from experiments.alias_free_gan import images, program as programs
from experiments.alias_free_gan.program import Program
from experiments.alias_free_gan.state import GanState


class Snapshots:
    """Writes pictures and networks of a run into its folder.

    `pictures/reals.png`, `pictures/fakes_init.png`, then `pictures/fakes_<kimg>.png` with the same
    latents every time, and `networks/generator_<kimg>.safetensors`, which `scripts/generate.py`
    and `aa_jax.weights.load_generator` read. Only the main process writes.

    Args:
        config: of the run.
        program: of the config.
        source: the training images.
        workdir: the run's folder.
    """

    def __init__(self, config: ml_collections.ConfigDict, program: Program, source, workdir):
        self._config, self._program = config, program
        self._folder = pathlib.Path(workdir)
        self._columns, self._rows = config.snapshot.grid or published_grid(config.data.resolution)
        count = self._columns * self._rows
        chosen = np.random.default_rng(config.seed).permutation(len(source))
        chosen = np.resize(chosen, count)
        self._reals = lambda: np.stack([source[int(index)]["image"] for index in chosen])
        self._z = programs.latents(config.seed, count, program.phases.players.z_dim)
        self._labels = None
        if program.phases.players.c_dim:
            self._labels = images.label_vectors(source, chosen)

    def begin(self, state: GanState) -> None:
        """Writes the real grid, and that of the untrained generator, at the start of a run."""
        # Not by what is on the disk: processes that see different disks must decide alike.
        if int(state.step) == 0:
            fakes = self.draw(state)
            if distributed.is_main_process():
                self._save(self._reals(), "reals")
                self._save(fakes, "fakes_init")

    def write(self, state: GanState) -> None:
        """Writes the grid and the averaged generator of a state."""
        fakes, kimg = self.draw(state), int(state.images_seen) // 1000
        network = self.network(state)
        if distributed.is_main_process():
            self._save(fakes, f"fakes_{kimg:06d}")
            if isinstance(network, alias_free.Generator):
                path = self._folder / "networks" / f"generator_{kimg:06d}.safetensors"
                path.parent.mkdir(parents=True, exist_ok=True)
                weights.save_generator(network, path)

    def draw(self, state: GanState) -> np.ndarray:
        """The fixed latents' pictures, (N, H, W, C) uint8."""
        batch = self._config.batch_size
        drawn = [
            alias_free.to_uint8(drawn)
            for drawn in sample(self._program, state, self._z, self._labels, batch)
        ]
        return np.concatenate(drawn)[: len(self._z)]

    def labels(self, count: int) -> np.ndarray | None:
        """Labels of random images, None without."""
        return (
            None
            if self._labels is None
            else np.resize(self._labels, (count, *self._labels.shape[1:]))
        )

    def network(self, state: GanState):
        """The averaged generator, its arrays on the host."""
        whole = distributed.fetch((state.ema, state.generator_stats), self._program.mesh)
        return merge(self._program.phases.players.generator, *whole)

    def _save(self, grid: np.ndarray, name: str) -> None:
        path = self._folder / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures.save_png(path, pictures.tile(grid, self._rows, self._columns))


def published_grid(resolution: int) -> tuple[int, int]:
    """(columns, rows) that fill an 8K screen, within bounds."""
    return int(np.clip(7680 // resolution, 7, 32)), int(np.clip(4320 // resolution, 4, 32))


def sample(program: Program, state: GanState, z, labels, batch: int):
    """Draws pictures of the averaged generator in batches of one size, on all devices.

    Yields:
        (batch, H, W, C) float32 in about [-1, 1], on the host; the last are repetitions where
        `batch` does not divide the count.
    """
    for start in range(0, len(z), batch):
        chosen = np.arange(start, start + batch) % len(z)
        inputs = {"z": z[chosen]} | ({} if labels is None else {"label": labels[chosen]})
        placed = distributed.shard_whole_batch(inputs, program.mesh)
        yield np.asarray(
            program.sample(state.ema, state.generator_stats, placed["z"], placed.get("label"))
        )
