"""The architecture, checked: imports go down, never up or in a circle, and stay light."""

import ast
import configparser
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each floor may import besides itself. From the ground up; `training` stands on none, since
# it must train any model, and `data` knows no network.
FLOORS = {
    "filters": set(),
    "ops": {"filters"},
    "nn": {"filters", "ops"},
    "models": {"filters", "ops", "nn"},
    "metrics": {"filters", "ops"},
    "figures": {"filters", "ops", "metrics"},
    "weights": {"filters", "ops", "nn", "models"},
    "data": {"filters", "ops"},
    "training": set(),
}
LIGHT = ("filters", "ops", "nn", "models", "metrics", "weights")

# Slow or optional packages, which only their users may import.
HEAVY = {
    "absl",
    "array_record",
    "grain",
    "imageio",
    "imageio_ffmpeg",
    "matplotlib",
    "ml_collections",
    "orbax",
    "PIL",
    "skimage",
    "tensorboardX",
    "tensorflow_datasets",
}
# Not dependencies at all: files written by them are read without them, benchmarks try them.
FOREIGN = {"cv2", "tensorflow", "torch", "torchvision"}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*folders: str) -> dict[str, pathlib.Path]:
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {module_name(path): path for path in sorted(paths)}


HOUSE = sources("aa_jax", "experiments", "scripts")


def imports(module: str, path: pathlib.Path, *, nested: bool = True) -> set[str]:
    """Full names of the modules a file imports, also inside functions unless `nested` is off."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(above + ([node.module] if node.module else []))
            # `from package import name` imports package.name where that is a module.
            inner = {f"{base}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name in HOUSE}
            found |= modules
            if modules != inner:
                found.add(base)
    return found


def violations(module: str, imported: set[str]) -> list[str]:
    """The imports of one module that go up, sideways, or to the package's front door."""
    place = module.split(".")
    bad = []
    for name in sorted(imported):
        parts = name.split(".")
        if parts[0] == "tests":
            bad.append(f"{module} imports {name}: tests are not part of the library")
        elif place[0] == "aa_jax":
            if parts[0] in ("experiments", "scripts"):
                bad.append(f"{module} imports {name}: nothing below knows an experiment")
            elif parts[0] != "aa_jax" or len(place) == 1:
                continue
            elif len(parts) == 1:
                bad.append(f"{module} imports from the top of aa_jax: name the module instead")
            elif parts[1] != place[1] and parts[1] not in FLOORS[place[1]]:
                bad.append(f"{module} imports {name}: {parts[1]} is not below {place[1]}")
        elif place[0] == "experiments":
            if parts[0] == "scripts":
                bad.append(f"{module} imports {name}: scripts are the roof")
            elif parts[0] == "experiments" and parts[1:2] != place[1:2]:
                bad.append(f"{module} imports {name}: experiments do not know each other")
    return bad


@pytest.mark.parametrize("module", HOUSE)
def test_imports_go_down(module):
    assert not violations(module, imports(module, HOUSE[module]))


def test_every_package_has_its_floor():
    packages = {name.split(".")[1] for name in sources("aa_jax") if "." in name}
    assert packages <= set(FLOORS), "a new package needs a line in FLOORS"


def test_every_folder_of_modules_is_a_package():
    # One without __init__.py imports from a checkout but is left out of an installation.
    folders = {path.parent for path in sources("aa_jax").values()}
    assert not {folder for folder in folders if not (folder / "__init__.py").exists()}


def test_no_circles():
    graph = {}
    for module, path in sources("aa_jax").items():
        graph[module] = imports(module, path, nested=False) & set(HOUSE) - {module}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail("circular import: " + " -> ".join(reversed(error.args[1])))
    assert len(order) >= len(graph)


@pytest.mark.parametrize("floor", LIGHT)
def test_light_floors_name_no_heavy_package(floor):
    for module, path in sources(f"aa_jax/{floor}").items():
        roots = {name.split(".")[0] for name in imports(module, path)}
        assert not roots & HEAVY, module


def test_no_foreign_frameworks():
    for module, path in HOUSE.items():
        if module.startswith("scripts.benchmark"):
            continue  # compares with PyTorch where that happens to be installed
        roots = {name.split(".")[0] for name in imports(module, path)}
        assert not roots & FOREIGN, module


# Packages whose import name is not their distribution's name.
DISTRIBUTIONS = {
    "absl": "absl-py",
    "array_record": "array-record",
    "imageio_ffmpeg": "imageio",  # by its extra "ffmpeg"
    "ml_collections": "ml-collections",
    "ml_dtypes": "ml-dtypes",
    "orbax": "orbax-checkpoint",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "tensorflow_datasets": "tensorflow-datasets",
}


def test_what_is_imported_is_declared():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].split()
    lines += setup["options.extras_require"]["tfds"].split()
    declared = {re.match(r"[\w-]+", line).group() for line in lines}
    for module, path in HOUSE.items():
        roots = {name.split(".")[0] for name in imports(module, path)}
        roots -= set(sys.stdlib_module_names) | FOREIGN | {"aa_jax", "experiments", "scripts"}
        assert {DISTRIBUTIONS.get(root, root) for root in roots} <= declared, module


IMPORT_ALL = """
import importlib, pkgutil, sys
for name in {blocked!r}:
    sys.modules[name] = None  # any import of it now raises ImportError
import aa_jax
count = 0
for floor in {floors!r}:
    package = importlib.import_module("aa_jax." + floor)
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
        count += 1
print(count)
"""


def test_light_floors_import_without_the_heavy_packages():
    # Flax itself imports absl.
    blocked = sorted((HEAVY | FOREIGN) - {"absl"})
    code = IMPORT_ALL.format(blocked=blocked, floors=LIGHT)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 20


def test_the_checks_see_what_they_should(tmp_path):
    """Every rule trips on a planted offence."""
    planted = {
        "aa_jax.ops.blur": "from aa_jax.nn import conv",
        "aa_jax.filters.kaiser": "def f():\n    import aa_jax.ops.blur",
        "aa_jax.training.loop": "from aa_jax import models",
        "aa_jax.metrics.consistency": "from ..nn import blur_pool",
        "aa_jax.data.sources": "from aa_jax import __version__",
        "aa_jax.models.resnet": "import experiments.classification.train",
        "experiments.classification.train": "import scripts.train",
        "experiments.motion.train": "from experiments.classification import report",
        "aa_jax.nn.conv": "from tests import tolerances",
    }
    for module, text in planted.items():
        path = tmp_path / "planted.py"
        path.write_text(text)
        assert violations(module, imports(module, path)), module
