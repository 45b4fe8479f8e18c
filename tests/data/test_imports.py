"""Sources and transforms work where the heavy packages are not installed."""

import subprocess
import sys

PROGRAM = """
import sys
for name in ("grain", "tensorflow_datasets", "tensorflow", "skimage"):
    if name != "skimage":
        sys.modules[name] = None
import aa_jax.data as data
assert "jax" not in sys.modules and "skimage" not in sys.modules
print(data.photographs("test", size=16)[0]["image"].shape)
"""


def test_import_needs_neither_grain_nor_tfds():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert result.stdout.strip() == "(16, 16, 3)", result.stderr
