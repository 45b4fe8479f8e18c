"""The errors of reading and writing checkpoints."""


class WeightsError(ValueError):
    """A checkpoint can't be read, written or fitted to a model; the message says why."""


class UnsafePickleError(WeightsError):
    """A checkpoint's pickle asks for something beyond tensors and plain containers.

    The message names what it asked for. Nothing of it has been imported or called.
    """
