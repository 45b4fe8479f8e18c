"""The published weights of feature networks, out of files that a user has fetched.

Nothing is downloaded, ever; `feature_files` says what to fetch. Files are read as `read_checkpoint`
does, so nothing in them is executed.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.inception import InceptionV3Features, inception_layers
from aa_jax.models.inception.units import FeatureConv
from aa_jax.models.perceptual import LPIPS, VGG16Features
from aa_jax.models.vgg19 import VGG19Features
from aa_jax.models.vgg_maps import VGGMaps
from aa_jax.nn import Linear
from aa_jax.weights.checkpoint import read_checkpoint
from aa_jax.weights.errors import WeightsError
from aa_jax.weights.feature_files import FEATURE_FILES, feature_file

# Of the batch normalisation in Inception's graph.
_EPSILON = 1e-3
# Counts batches in PyTorch's batch norm; nothing here needs it.
_COUNTER = "num_batches_tracked"
# Of VGG-19, what perceptual losses do not need.
_BEHIND_RELU5_1 = ("features.30.", "features.32.", "features.34.", "classifier.")


def load_inception(
    path: str | os.PathLike | None = None,
    *,
    width_divisor: int = 1,
    precision: str = "highest",
    param_dtype: jnp.dtype = jnp.float32,
) -> InceptionV3Features:
    """Loads the Inception network of Fréchet distance and Inception score.

    Args:
      path: a file in the layout of pytorch-fid and torch-fidelity; None: see `feature_file`.
      width_divisor: as `InceptionV3Features` takes it.
      precision: as `InceptionV3Features` takes it.
      param_dtype: dtype of weights and computation.

    Returns:
      The network; `inception_extractor` makes a compiled function of it.

    Raises:
      FileNotFoundError: there is no file; the message says where to get it.
      UnsafePickleError: the file asks for something beyond tensors.
      WeightsError: the file is of another kind (a TorchScript program, for instance), or entries
        are missing, surplus, misshapen or not finite; the one message lists all of them.

    Example:
      >>> network = load_inception("pt_inception-2015-12-05-6726825d.pth")
      >>> extract = inception_extractor(network, dialect="clean")
    """
    options = dict(width_divisor=width_divisor, precision=precision, param_dtype=param_dtype)
    network = _abstract(InceptionV3Features, options)
    with _Source("inception", path) as source:
        for name, layer in inception_layers(network).items():
            source.normalised_conv(name, layer)
        source.linear("fc", network.fc)
    return network


def load_vgg16(
    path: str | os.PathLike | None = None,
    *,
    width_divisor: int = 1,
    precision: str = "highest",
    param_dtype: jnp.dtype = jnp.float32,
) -> VGG16Features:
    """Loads VGG-16 for precision and recall; the last layer, which gives classes, is left out.

    Args:
      path: a file in torchvision's layout; None: see `feature_file`.
      width_divisor: as `VGG16Features` takes it.
      precision: as `VGG16Features` takes it.
      param_dtype: dtype of weights and computation.

    Raises:
      FileNotFoundError, UnsafePickleError, WeightsError: as `load_inception`.
    """
    options = dict(width_divisor=width_divisor, precision=precision, param_dtype=param_dtype)
    network = _abstract(VGG16Features, options)
    with _Source("vgg16", path, ignored=("classifier.6.",)) as source:
        _vgg_maps(source, network.maps)
        for index, layer in enumerate(network.dense):
            source.linear(f"classifier.{3 * index}", layer)
    return network


def load_vgg19(
    path: str | os.PathLike | None = None,
    *,
    width_divisor: int = 1,
    precision: str = "default",
    param_dtype: jnp.dtype = jnp.float32,
) -> VGG19Features:
    """Loads VGG-19 for perceptual losses; what lies behind relu5_1 is left out.

    Args:
      path: a file in torchvision's layout; None: see `feature_file`.
      width_divisor: as `VGG19Features` takes it.
      precision: as `VGG19Features` takes it.
      param_dtype: dtype of weights and computation.

    Raises:
      FileNotFoundError, UnsafePickleError, WeightsError: as `load_inception`.

    Example:
      >>> features, weights = frozen(load_vgg19("vgg19-dcbb9e9d.pth"))
    """
    options = dict(width_divisor=width_divisor, precision=precision, param_dtype=param_dtype)
    network = _abstract(VGG19Features, options)
    with _Source("vgg19", path, ignored=_BEHIND_RELU5_1) as source:
        _vgg_maps(source, network.maps)
    return network


def load_lpips(
    vgg_path: str | os.PathLike | None = None,
    linear_path: str | os.PathLike | None = None,
    *,
    width_divisor: int = 1,
    precision: str = "highest",
    param_dtype: jnp.dtype = jnp.float32,
) -> LPIPS:
    """Loads the LPIPS embedding, version 0.1 on VGG-16.

    Args:
      vgg_path: VGG-16 in torchvision's layout; None: see `feature_file`.
      linear_path: the learnt weights of channels, `lpips/weights/v0.1/vgg.pth` of the authors'
        repository; None: see `feature_file`.
      width_divisor: as `LPIPS` takes it.
      precision: as `LPIPS` takes it.
      param_dtype: dtype of weights and computation.

    Raises:
      FileNotFoundError, UnsafePickleError, WeightsError: as `load_inception`; also where a
        channel's weight is negative.
    """
    options = dict(width_divisor=width_divisor, precision=precision, param_dtype=param_dtype)
    network = _abstract(LPIPS, options)
    with _Source("vgg16", vgg_path, ignored=("classifier.",)) as source:
        _vgg_maps(source, network.maps)
    with _Source("lpips", linear_path) as source:
        for index, weight in enumerate(network.weights):
            source.channel_weight(f"lin{index}.model.1.weight", weight)
    return network


def _vgg_maps(source: "_Source", maps: VGGMaps) -> None:
    for position, layer in _vgg_positions(maps):
        source.conv(f"features.{position}", layer)


def _vgg_positions(maps: VGGMaps) -> Iterator[tuple[int, FeatureConv]]:
    """Convolutions with their places in torchvision's sequence of layers, ReLUs and pools."""
    position = 0
    for stage in maps.stages:
        for layer in stage:
            yield position, layer
            position += 2
        position += 1


def _abstract(kind: Callable[..., nnx.Module], options: Mapping[str, Any]) -> Any:
    """A network with shapes in place of weights: nothing is drawn or allocated."""
    return nnx.eval_shape(lambda: kind(**options, rngs=nnx.Rngs(0)))


class _Source:
    """A file whose tensors go into a network; on leaving, all that did not fit is one error."""

    def __init__(self, name: str, path: str | os.PathLike | None, *, ignored: tuple[str, ...] = ()):
        self.file = FEATURE_FILES[name]
        self.path = feature_file(name, path)
        self.ignored = ignored
        self.problems: list[str] = []

    def __enter__(self) -> "_Source":
        try:
            tensors = read_checkpoint(self.path)
        except WeightsError as error:
            raise type(error)(f"{error}. The file to use is {self.file}") from error
        self.left = {
            name: array
            for name, array in tensors.items()
            if name.rpartition(".")[2] != _COUNTER and not name.startswith(self.ignored)
        }
        return self

    def __exit__(self, kind: Any, *others: Any) -> None:
        if kind is not None:
            return
        self.problems += [f"surplus: {n} of shape {a.shape}" for n, a in self.left.items()]
        if self.problems:
            raise WeightsError(
                f"{self.path}: {len(self.problems)} entries do not fit; expected those of "
                f"{self.file}:\n  " + "\n  ".join(self.problems)
            )

    def conv(self, name: str, layer: FeatureConv) -> None:
        """A convolution with a bias of its own."""
        kh, kw, inputs, outputs = layer.kernel.shape
        kernel = self._take(f"{name}.weight", (outputs, inputs, kh, kw))
        _fill(layer.kernel, kernel.transpose(2, 3, 1, 0))
        _fill(layer.bias, self._take(f"{name}.bias", (outputs,)))

    def normalised_conv(self, name: str, layer: FeatureConv) -> None:
        """A convolution without bias and the batch normalisation behind it, made one."""
        kh, kw, inputs, outputs = layer.kernel.shape
        kernel = self._take(f"{name}.conv.weight", (outputs, inputs, kh, kw))
        scale, bias, mean, variance = (
            self._take(f"{name}.bn.{leaf}", (outputs,)).astype(np.float64)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        if (variance < 0).any():
            self.problems.append(f"negative: {name}.bn.running_var is a variance")
            variance = np.abs(variance)
        factor = scale / np.sqrt(variance + _EPSILON)
        _fill(layer.kernel, kernel.transpose(2, 3, 1, 0) * factor)
        _fill(layer.bias, bias - mean * factor)

    def linear(self, name: str, layer: Linear) -> None:
        """A dense layer."""
        inputs, outputs = layer.kernel.shape
        _fill(layer.kernel, self._take(f"{name}.weight", (outputs, inputs)).T)
        _fill(layer.bias, self._take(f"{name}.bias", (outputs,)))

    def channel_weight(self, name: str, weight: nnx.Param) -> None:
        """Weights of channels, stored as a 1 x 1 convolution to one channel."""
        values = self._take(name, (1, *weight.shape, 1, 1)).reshape(weight.shape)
        if (values < 0).any():
            self.problems.append(f"negative: {name} weighs squared differences")
        _fill(weight, values)

    def _take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor; ones where it does not fit, which is noted."""
        array = self.left.pop(name, None)
        if array is None:
            self.problems.append(f"missing: {name} of shape {shape}")
        elif array.shape != shape:
            self.problems.append(f"misshapen: {name} has shape {array.shape}, expected {shape}")
        elif not jnp.issubdtype(array.dtype, jnp.floating):
            self.problems.append(f"of another kind: {name} has dtype {array.dtype}")
        else:
            bad = array.size - int(np.isfinite(array).sum())
            if not bad:
                return array
            self.problems.append(f"not finite: {name} has {bad} NaN or infinite values")
        return np.ones(shape)


def _fill(variable: nnx.Variable, value: np.ndarray) -> None:
    # The variable is abstract: it has no array yet to write into.
    variable.set_value(jnp.asarray(value, variable.dtype))
