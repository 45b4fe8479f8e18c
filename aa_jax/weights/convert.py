"""Turns a checkpoint of another project into a safetensors file with this package's names."""

import dataclasses
import os

from flax import nnx

from aa_jax.weights.checkpoint import Checkpoint
from aa_jax.weights.load import Report, export, load_into
from aa_jax.weights.safetensors_file import write_safetensors


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What a conversion read and wrote.

    Attributes:
        format: format of the source, as in ``Checkpoint``.
        ignored: what else the source held, by its path, with its type (``Checkpoint``), or with
            ``"not needed"`` (batch counters, fixed blur kernels).
        report: which of the source's names became which of ours.
        arrays: shape and dtype name of every array written, by our name.
    """

    format: str
    ignored: dict[str, str]
    report: Report
    arrays: dict[str, tuple[tuple[int, ...], str]]

    def __str__(self) -> str:
        """A table for people: one line per entry, then what was ignored."""
        theirs = {ours: name for name, ours in self.report.entries.items()}
        rows = [
            (theirs.get(name, "(default)"), name, dtype, str(shape))
            for name, (shape, dtype) in self.arrays.items()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines += [f"ignored: {name} ({kind})" for name, kind in self.ignored.items()]
        lines.append(
            f"{len(rows)} arrays written and {len(self.ignored)} entries ignored; read from a "
            f"{self.format} file with {self.report.naming!r} names"
        )
        return "\n".join(lines)


def convert(checkpoint: Checkpoint, target: str | os.PathLike, *, model: nnx.Module) -> Conversion:
    """Checks every entry of a PyTorch checkpoint against a model and writes it as safetensors.

    Args:
        checkpoint: what ``read_checkpoint_with_report`` gives, with PyTorch's names.
        target: the ``.safetensors`` file to write; untouched unless everything fits.
        model: the network that the checkpoint belongs to; its weights are replaced.

    Returns:
        What was read, ignored and written; printing it gives a report.

    Raises:
        WeightsError: the checkpoint doesn't fit the model; every missing, surplus, misshapen or
            non-finite entry is listed.
        OSError: the file can't be written.
    """
    report = load_into(model, checkpoint.tensors, source="torch")
    tensors = export(model)
    write_safetensors(target, tensors)
    return Conversion(
        format=checkpoint.format,
        ignored=checkpoint.ignored | dict.fromkeys(report.ignored, "not needed"),
        report=report,
        arrays={name: (value.shape, value.dtype.name) for name, value in tensors.items()},
    )
