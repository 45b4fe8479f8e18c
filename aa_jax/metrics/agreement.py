"""Agreement between a classifier's answers to several views of the same pictures."""

import dataclasses

import numpy as np

from aa_jax.metrics.accuracy import check_labels

# Published: keeps a batch in which no sample is ever right from dividing by zero.
_TINY = 1e-10


def agreement(predicted: np.ndarray) -> np.ndarray:
    """Which samples get the same answer in every view.

    Args:
        predicted: integers (..., views, N), the arg-max of each view.

    Returns:
        bool (..., N): all views equal the first (section "consistency" of Zhang, ICML 2019, for
        two views; Zou et al., BMVC 2020, for more).

    Raises:
        ValueError: fewer than two views.
    """
    predicted = np.asarray(predicted)
    if predicted.ndim < 2 or predicted.shape[-2] < 2:
        raise ValueError(
            f"predicted must be (..., views, N) with at least two views to compare, got shape "
            f"{predicted.shape}"
        )
    return (predicted == predicted[..., :1, :]).all(-2)


def correct_agreement(predicted: np.ndarray, labels: np.ndarray, batch_sizes: np.ndarray) -> float:
    """Consistency among samples that at least one view gets right ("correct only").

    A ratio per batch, then the mean weighted by batch size, as in Zou et al.'s evaluation. It is
    not the share over all such samples: a batch without any counts as 0.

    Args:
        predicted: integers (passes, views, N).
        labels: integers (N,).
        batch_sizes: how the N samples were split, in order.

    Returns:
        Percentage.
    """
    predicted = np.asarray(predicted)
    labels = check_labels(labels, predicted.shape[-1])
    some_right = (predicted == labels).any(-2)
    both = agreement(predicted) & some_right
    starts = np.cumsum([0, *batch_sizes[:-1]])
    agreeing = np.add.reduceat(both.astype(np.int64), starts, axis=-1)
    eligible = np.add.reduceat(some_right.astype(np.int64), starts, axis=-1)
    ratio = agreeing / (eligible + _TINY)
    return 100 * float(np.average(ratio.mean(0), weights=batch_sizes))


@dataclasses.dataclass(frozen=True)
class Consistency:
    """Answers of a classifier on moved copies of the same images.

    Attributes:
        predicted: int (passes, views, N), the class each view was given.
        shifts: (passes, batches, views, 2), (row, column) in pixels.
        batch_sizes: int (batches,), how the N images were split.
    """

    predicted: np.ndarray
    shifts: np.ndarray
    batch_sizes: np.ndarray

    @property
    def agree(self) -> np.ndarray:
        """bool (passes, N): all views of a sample got the same class."""
        return agreement(self.predicted)

    @property
    def batch_percent(self) -> np.ndarray:
        """(passes, batches): agreement of each batch."""
        starts = np.cumsum([0, *self.batch_sizes[:-1]])
        counts = np.add.reduceat(self.agree.astype(np.int64), starts, axis=-1)
        return 100 * counts / self.batch_sizes

    @property
    def percent(self) -> float:
        """Batch-size-weighted mean over all passes: the published figure."""
        return float(np.average(self.batch_percent.mean(0), weights=self.batch_sizes))

    @property
    def per_image(self) -> np.ndarray:
        """(N,): percentage of passes in which each image's views agree, for bootstrapping."""
        return 100 * self.agree.mean(0)

    def correct_percent(self, labels: np.ndarray) -> float:
        """The "correct only" figure; see `correct_agreement`."""
        return correct_agreement(self.predicted, labels, self.batch_sizes)
