"""Other people's checkpoints: a reader that executes nothing, name maps, reports."""

from aa_jax.weights.checkpoint import Checkpoint, read_checkpoint, read_checkpoint_with_report
from aa_jax.weights.convert import Conversion, convert
from aa_jax.weights.errors import UnsafePickleError, WeightsError
from aa_jax.weights.load import Report, export, export_torch, load_into
from aa_jax.weights.safetensors_file import write_safetensors

__all__ = [
    "Checkpoint",
    "Conversion",
    "Report",
    "UnsafePickleError",
    "WeightsError",
    "convert",
    "export",
    "export_torch",
    "load_into",
    "read_checkpoint",
    "read_checkpoint_with_report",
    "write_safetensors",
]
