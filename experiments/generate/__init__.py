"""Pictures and films from a trained alias-free generator: `scripts/generate.py`."""
