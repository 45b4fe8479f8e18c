"""Pictures of what was measured. The only part of aa_jax that imports matplotlib."""

from aa_jax.figures.audit import draw_audit
from aa_jax.figures.spectrum import draw_spectra

__all__ = ["draw_audit", "draw_spectra"]
