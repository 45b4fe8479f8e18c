"""The study's three commands: one generator, the ablation, and the alias audit of classifiers."""

import dataclasses
import pathlib

from flax import nnx

from aa_jax import metrics
from aa_jax.metrics.equivariance import METRICS
from aa_jax.metrics.motion import Rotation, Translation
from aa_jax.models import alias_free, small_resnet
from experiments.equivariance import measurements, networks, pictures, report

SPECTRUM_VIEWS = 128


@dataclasses.dataclass(frozen=True)
class Options:
    """How much to measure.

    Attributes:
      metrics: some of `METRICS`.
      samples: pictures of the equivariance metrics; published are 50 000.
      batch_size: pictures that share a motion.
      layer_samples: pictures of the curve over layers; 0 for none.
      spectrum_samples: generated pictures of the spectrum; 0 for none.
      data: folder of real pictures for the spectrum; None: the embedded photographs.
      seed: of latents and motions.
    """

    metrics: tuple[str, ...] = METRICS
    samples: int = 1000
    batch_size: int = 4
    layer_samples: int = 16
    spectrum_samples: int = 64
    data: str | None = None
    seed: int = 0


def measure_generator(
    generator: alias_free.Generator, name: str, folder: pathlib.Path, options: Options
) -> str:
    """Measures one generator and writes its report; returns the report's text."""
    results = {name: _equivariance(generator, options)}
    audits, spectra = {}, {}
    if options.layer_samples:
        audits[name] = measurements.audit_layers(
            generator, samples=options.layer_samples, seed=options.seed
        )
    if options.spectrum_samples:
        real = _real_pictures(generator, options)
        spectra = measurements.compare_spectra(
            generator, real, samples=options.spectrum_samples, seed=options.seed
        )
    return report.write(folder, results=results, audits=audits, spectra=spectra)


def ablation(resolutions: list[int], folder: pathlib.Path, options: Options) -> str:
    """T and R, untrained: complete, with a plain activation, without margins; writes the report."""
    results, audits = {}, {}
    for resolution in resolutions:
        for config in ("T", "R"):
            for variant in networks.VARIANTS:
                generator = networks.untrained(config, resolution, variant=variant)
                name = f"{config}, {resolution} px, {variant}"
                results[name] = _equivariance(generator, options)
                print(f"{name}: " + "; ".join(map(str, results[name].values())), flush=True)
                if options.layer_samples and resolution == resolutions[0]:
                    audits[f"{config}, {variant}"] = measurements.audit_layers(
                        generator, samples=options.layer_samples, seed=options.seed
                    )
    return report.write(folder, results=results, audits=audits, spectra={})


def audit_classifiers(
    folder: pathlib.Path, *, crop_size: int = 224, count: int = 12, seed: int = 0
) -> str:
    """The alias audit of a plain and a blur-pool ResNet, untrained, on photographs."""
    views = 2 * pictures.photograph_views(crop_size + 64, count, seed=seed) - 1
    audits = {}
    for name, antialias in (("plain", "none"), ("blur-pool", "blur")):
        model = small_resnet(10, antialias=antialias, rngs=nnx.Rngs(seed))
        audits[name] = metrics.audit_network(
            lambda x, record, model=model: model(x, record=record),
            views,
            crop_size=crop_size,
            motions=(Translation(1, 1), Translation(0.5, 0.5), Rotation(15)),
            batch_size=4,
        )
    return report.write_audit(folder, audits, "classifiers")


def _equivariance(generator, options: Options):
    return measurements.measure_equivariance(
        generator,
        chosen=options.metrics,
        samples=options.samples,
        batch_size=options.batch_size,
        seed=options.seed,
    )


def _real_pictures(generator, options: Options):
    height, width = generator.plan.resolution
    if height != width:
        raise ValueError(f"the spectrum needs square pictures, got {height} x {width}")
    if options.data:
        views = pictures.folder_views(options.data, height, SPECTRUM_VIEWS)
    else:
        views = pictures.photograph_views(height, SPECTRUM_VIEWS)
    if generator.plan.img_channels == 1:
        views = views.mean(axis=-1, keepdims=True)
    return 2 * views - 1
