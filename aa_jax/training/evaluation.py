"""Accuracy over a whole test set, in batches of one shape, on any number of devices."""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping

import jax
import numpy as np
from flax import nnx
from jax import lax, numpy as jnp
from jax.sharding import Mesh

from aa_jax.training import distributed
from aa_jax.training.state import merge
from aa_jax.training.steps import Preprocess, cross_entropy


def make_evaluation_step(
    graphdef: nnx.GraphDef, mesh: Mesh, *, preprocess: Preprocess | None = None
) -> Callable:
    """Compiles `(params, stats, batch) -> sums` for `evaluate`.

    The batch has `image` (N, H, W, C), `label` (N,) and `weight` (N,), 0 for padding. The sums are
    `count`, `loss`, `top1` and `top5`, float32 scalars.
    """

    def step(params, stats, batch):
        model = merge(graphdef, params, stats)
        images = batch["image"] if preprocess is None else preprocess(batch["image"])
        logits = model(images, train=False).astype(jnp.float32)
        labels, weight = batch["label"], batch["weight"]
        _, best = lax.top_k(logits, min(5, logits.shape[-1]))
        hits = best == labels[:, None]
        return {
            "count": weight.sum(),
            "loss": (weight * cross_entropy(logits, labels)).sum(),
            "top1": (weight * hits[:, 0]).sum(),
            "top5": (weight * hits.any(-1)).sum(),
        }

    whole = distributed.replicated(mesh)
    return jax.jit(
        step, in_shardings=(whole, whole, distributed.batch_sharding(mesh)), out_shardings=whole
    )


def evaluate(
    step: Callable,
    params: dict,
    stats: dict,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    batch_size: int,
    num_examples: int,
    mesh: Mesh,
) -> dict[str, float]:
    """Mean loss and accuracies over a test set.

    Args:
        step: from `make_evaluation_step`.
        params: the parameters, or their moving average.
        stats: the batch statistics.
        batches: this process's share of the test set, in batches of at most the local size.
        batch_size: global batch size.
        num_examples: length of the whole test set. Every process runs the same number of
            batches, the last ones padded, because all devices must take part in each.
        mesh: the mesh of the step.

    Returns:
        `eval_loss` in nats, `eval_top1` and `eval_top5` in [0, 1].
    """
    local = distributed.local_batch_size(batch_size, mesh)
    rounds = -(-num_examples // batch_size)
    totals = collections.Counter()
    previous = {}
    for batch in _padded(iter(batches), local, rounds):
        sums = step(params, stats, distributed.shard_batch(batch, mesh))
        # Fetched one batch late: the device works on one while the host loads the next.
        totals.update(jax.device_get(previous))
        previous = sums
    totals.update(jax.device_get(previous))
    if not totals["count"]:
        raise ValueError("the test set is empty: there is nothing to evaluate")
    return {
        f"eval_{name}": float(totals[name] / totals["count"]) for name in ("loss", "top1", "top5")
    }


def _padded(batches: Iterator, size: int, rounds: int) -> Iterator[dict[str, np.ndarray]]:
    """`rounds` batches of exactly `size` examples; the weight of padding is 0."""
    last = None
    for _ in range(rounds):
        batch = next(batches, None)
        if batch is None and last is None:
            raise ValueError(
                "this process has no share of the test set, which is smaller than the number of "
                "processes; evaluate it in one process"
            )
        if batch is None:
            batch = {key: value[:0] for key, value in last.items()}
        last = batch = {key: np.asarray(value) for key, value in batch.items()}
        count = len(batch["label"])
        yield {
            "weight": (np.arange(size) < count).astype(np.float32),
            **{key: _pad(value, size) for key, value in batch.items()},
        }


def _pad(value: np.ndarray, size: int) -> np.ndarray:
    return np.pad(value, [(0, size - len(value))] + [(0, 0)] * (value.ndim - 1))
