"""How weights start, spelled as the papers' code has it."""

from flax import nnx

# Untruncated normal of variance 2 / fan_out, fan_out = outputs * kernel area (also for grouped
# convolutions): ResNet, VGG, MobileNet.
kaiming_normal_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")

# Untruncated normal of variance 2 / fan_in: DenseNet.
kaiming_normal_fan_in = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")

# Uniform on +-1/sqrt(fan_in): what the papers' framework gives a layer nobody initialised.
uniform_fan_in = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def uniform(bound: float) -> nnx.Initializer:
    """Uniform on [-bound, bound]; biases of a default layer use bound = 1 / sqrt(fan_in)."""
    positive = nnx.initializers.uniform(2 * bound)
    return lambda key, shape, dtype: positive(key, shape, dtype) - bound
