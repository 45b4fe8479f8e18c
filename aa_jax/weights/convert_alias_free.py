"""Turns an official StyleGAN3 pickle into a safetensors file that describes itself."""

import dataclasses
import os

import numpy as np

from aa_jax.weights.alias_free import NetworkReport, generator_of, save_generator
from aa_jax.weights.alias_free_names import official_shape, variables
from aa_jax.weights.errors import WeightsError
from aa_jax.weights.network_pickle import NetworkPickle, read_network_pickle


@dataclasses.dataclass(frozen=True)
class NetworkConversion:
    """What a conversion read and wrote.

    Attributes:
        network: name of the generator that was converted.
        pickle: everything the source held.
        report: which of the official names became which of ours.
        shapes: shape of every array written, by our name.
    """

    network: str
    pickle: NetworkPickle
    report: NetworkReport
    shapes: dict[str, tuple[int, ...]]

    def __str__(self) -> str:
        """A table for people: one line per entry, then what was compared and what ignored."""
        rows = [
            (theirs, str(official_shape(ours, self.shapes[ours])), ours, str(self.shapes[ours]))
            for theirs, ours in self.report.entries.items()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines += [f"compared, not needed: {name}" for name in self.report.fixed]
        for name, network in self.pickle.items():
            what = "converted" if name == self.network else "ignored"
            lines.append(
                f"{what}: {name} ({network.class_name}), {network.parameter_count} parameters in "
                f"{len(network.tensors) - len(network.buffers)} tensors, and "
                f"{len(network.buffers)} buffers"
            )
        lines += [f"ignored: {name} ({kind})" for name, kind in self.pickle.ignored.items()]
        if self.pickle.training_set_kwargs:
            lines.append("ignored: training_set_kwargs")
        attributes = sum(self.pickle[self.network].ignored.values())
        lines += [
            f"ignored: {attributes} other attributes of {self.network}'s modules",
            f"ignored: {self.pickle.sources} source texts of {self.pickle.source_bytes} bytes, "
            "unexecuted",
            f"{len(rows)} arrays written; largest difference of a filter from ours: "
            f"{self.report.filter_difference:.1e} of its largest tap",
        ]
        return "\n".join(lines)


def convert_network_pickle(
    source: str | os.PathLike, target: str | os.PathLike, *, network: str = "G_ema"
) -> NetworkConversion:
    """Reads a generator out of an official pickle and writes it for ``load_generator``.

    Args:
        source: the ``.pkl``; nothing in it is executed.
        target: the ``.safetensors`` file to write; untouched unless everything fits.
        network: which generator: ``"G_ema"`` or ``"G"``.

    Returns:
        What was read, ignored and written; printing it gives a report.

    Raises:
        UnsafePickleError, WeightsError: as ``load_generator``.
        OSError: a file can't be read or written.
    """
    networks = read_network_pickle(source)
    try:
        if network not in networks:
            raise WeightsError(f"the file has no network {network!r}; it has {', '.join(networks)}")
        generator, report = generator_of(networks[network])
    except WeightsError as error:
        raise type(error)(f"{os.fspath(source)}: {error}") from error
    save_generator(generator, target)
    shapes = {name: np.shape(leaf[...]) for name, leaf in variables(generator).items()}
    return NetworkConversion(network, networks, report, shapes)
