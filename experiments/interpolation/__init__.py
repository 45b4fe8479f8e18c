"""Images from regular and scattered samples: mixtures of Gaussians against Pillow and SciPy."""
