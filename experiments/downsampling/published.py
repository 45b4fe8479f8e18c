"""The published comparison: its rows, in its order, and what it measured.

"Anti-alias interpolation in First Order Motion": ten keypoints of a trained detector on the vox
test set; milliseconds on an Intel Core i7-8700K with PyTorch.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """A row of the published table.

    Attributes:
      title: as published.
      error: in keypoints.
      milliseconds: average CPU running time.
    """

    title: str
    error: float
    milliseconds: float


ROWS = {
    "gaussian": Published("Gaussian + Subsampling (Baseline)", 0.0, 3.2464),
    "subsample": Published("Subsampling", 0.0653, 0.1136),
    "nearest": Published("`F.interpolate` with `mode=nearest`", 0.0653, 0.3729),
    "bicubic": Published("`F.interpolate` with `mode=bicubic`", 0.1728, 1.1172),
    "bilinear": Published("`F.interpolate` with `mode=bilinear`", 0.1711, 0.8454),
    "area": Published("`F.interpolate` with `mode=area`", 0.1729, 0.4388),
    "average_pool": Published("Average Pooling", 0.0786, 0.3062),
    "median": Published("Median + Subsampling", 0.0689, 56.9150),
    "bilateral": Published("Bilateral + Subsampling", 0.0395, 95.5080),
}
