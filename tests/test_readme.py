"""What the README says holds: its snippets run, its files exist, its table is complete."""

import configparser
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_snippets_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 2
    names = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)
    assert names["half"].shape == (1, 112, 112, 3)
    assert names["logits"].shape == (1, 1000)


def test_files_it_names_exist():
    named = re.findall(r"`([\w./-]+\.(?:py|ipynb|txt|md))`|\]\(([\w./-]+)\)", README)
    paths = {first or second for first, second in named}
    paths |= set(re.findall(r"(?:scripts|experiments)/[\w/]+\.py", README))
    assert paths
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert not missing


def test_every_dependency_is_explained():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].split()
    lines += setup["options.extras_require"]["test"].split()
    table = README.split("## Dependencies")[1].split("\n## ")[0].lower()
    for line in lines:
        package = re.match(r"[\w-]+", line).group().lower()
        assert re.search(rf"\b{package}\b", table), f"{package} has no row in the README's table"


def test_constraints_satisfy_the_requirements_and_name_no_place():
    for version, jax in (("311", "0.10.2"), ("312", None)):
        lines = (ROOT / f"constraints-py{version}.txt").read_text(encoding="utf-8").splitlines()
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
        pins = dict(line.split("==") for line in lines)
        assert {"jax", "jaxlib", "flax", "optax", "pytest"} <= set(pins)
        assert "torch" not in pins and "tensorflow" not in pins
        if jax:
            assert pins["jax"] == jax
