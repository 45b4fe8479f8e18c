"""What can stand where a network reduces resolution: the common interface, and the plain forms."""

from flax import nnx
from jax import Array

from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import avg_pool
from aa_jax.ops.pad import pad2d
from aa_jax.ops.pool import max_pool


class Pool(nnx.Module):
    """A layer for a strided slot of a network.

    Networks call `subsample`, the same for every kind of pool. Only polyphase pools make a choice
    and obey a given one; the others return `None` for it and ignore it.
    """

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Reduces (N, H, W, C) to (N, H', W', C)."""
        raise TypeError(f"{type(self).__name__} does not say how it reduces an image")

    def subsample(
        self,
        x: Array,
        *,
        choice: Array | None = None,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> tuple[Array, Array | None]:
        """Reduces (N, H, W, C) and tells which sampling phase was kept.

        Args:
          x: signal.
          choice: the phase another branch has kept, to be kept here too.
          train: whether layers behave as in training.
          key: random key of pools that draw.
          record: told intermediate results by name.

        Returns:
          (N, H', W', C), and the choice: integers (N,), weights (N, 4), or None.
        """
        del choice, key, record
        return self(x, train=train), None


class Identity(Pool):
    """Nothing: the slot of a network whose convolutions carry the stride themselves."""

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Returns `x`."""
        del train
        return x


class AvgPool(Pool):
    """Mean over windows, without padding."""

    def __init__(self, window: int = 2, *, stride: int = 2):
        """Pools `window` x `window` pixels every `stride`."""
        self.window, self.stride = window, stride

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Reduces (N, H, W, C) to (N, H', W', C)."""
        del train
        return avg_pool(x, window=self.window, stride=self.stride)


class MaxPool(Pool):
    """Max-pool, followed by another pool that carries the stride where there is one.

    With `stride=2` and no `pool` this is the max-pool that aliases. With `stride=1` and a blur as
    `pool` the maximum is taken at every position and low-passed before it is subsampled (Zhang,
    "Making convolutional networks shift-invariant again", ICML 2019, section 3.2).
    """

    def __init__(
        self,
        window: int = 2,
        *,
        stride: int = 1,
        padding: int = 0,
        boundary: str = "lowest",
        pool: Pool | None = None,
    ):
        """Chooses the window.

        Args:
          window: side of the square window.
          stride: step between windows.
          padding: samples added on all four sides.
          boundary: "lowest" pads with minus infinity, which never wins. "circular" ignores
            `padding` and appends `window - 1` circular rows and columns at the bottom and right,
            so that the size stays.
          pool: what follows; None: nothing.
        """
        if boundary not in ("lowest", "circular"):
            raise ValueError(f'boundary must be "lowest" or "circular", got {boundary!r}')
        self.window, self.stride = window, stride
        self.padding = 0 if boundary == "circular" else padding
        self.boundary = boundary
        self.pool = Identity() if pool is None else pool

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Reduces (N, H, W, C) to (N, H', W', C)."""
        return self.subsample(x, train=train)[0]

    def subsample(
        self,
        x: Array,
        *,
        choice: Array | None = None,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> tuple[Array, Array | None]:
        """As in `Pool`; the choice is the inner pool's."""
        if self.boundary == "circular":
            x = pad2d(x, (0, self.window - 1, 0, self.window - 1), mode="circular")
        y = max_pool(x, window=self.window, stride=self.stride, padding=self.padding)
        record = scoped(record, "pool")
        return self.pool.subsample(y, choice=choice, train=train, key=key, record=record)
