"""One way in to every source, for configs and command lines."""

import os
import pathlib

from aa_jax.data.errors import DataError
from aa_jax.data.folder import image_folder
from aa_jax.data.photographs import photographs
from aa_jax.data.preparation_files import MANIFEST
from aa_jax.data.prepared import prepared_source
from aa_jax.data.tfds_source import tfds_source

# Folders that a split may be called on disk, in order of preference.
_SPLIT_FOLDERS = {"train": ("train", "training"), "test": ("test", "val", "validation")}


def open_source(name: str | os.PathLike, split: str, **options):
    """Opens "photographs", a folder of class folders, a prepared data set, or a TFDS dataset.

    Args:
        name: "photographs" for the embedded set; the path of a folder, which may hold split
            folders ("train" and "test", "val" or "validation") or directly the classes of one
            split; otherwise a TFDS name, with or without "tfds:" before it. Where a folder and a
            dataset have the same name, the folder wins; "tfds:" and "./" are explicit. Split
            folders may be prepared data sets (`prepared_source`); one alone counts as "train".
        split: "train" or "test"; for TFDS any split expression.
        **options: of `photographs`, `image_folder`, `prepared_source` or `tfds_source`.

    Returns:
        A source: `len`, `[i]`, `num_classes`, `class_names`, `name`.

    Raises:
        DataError: there is no such source or split; the message names the remedy.

    Example:
        >>> open_source("photographs", "test", size=32).num_classes
        14
    """
    text = os.fspath(name)
    if text == "photographs":
        return photographs(split, **options)
    if text.startswith("tfds:"):
        return tfds_source(text.removeprefix("tfds:"), split, **options)
    path = pathlib.Path(text).expanduser()
    if path.is_dir():
        return _open_folder(path, split, options)
    if path.exists() or path.is_absolute() or text.startswith(("~", ".")) or os.sep in text:
        raise DataError(
            f"data source {text!r} is not a folder; expected an existing folder of class folders, "
            '"photographs" or a TFDS name'
        )
    return tfds_source(text, split, **options)


def _open_folder(root: pathlib.Path, split: str, options: dict):
    """Test folders take their labels from the training folder beside them."""
    if _is_prepared(root):
        if split != "train":
            raise DataError(
                f"{root} is one prepared data set without splits, got split {split!r}; expected "
                f"prepared data sets in {root}/train and {root}/test"
            )
        return prepared_source(root, **options)
    present = {
        kind: next((root / name for name in names if (root / name).is_dir()), None)
        for kind, names in _SPLIT_FOLDERS.items()
    }
    if split not in present:  # any other name is taken literally
        present[split] = root / split if (root / split).is_dir() else None
    if not any(present.values()):
        raise DataError(
            f"{root} holds no split folders; expected {root}/train/<class>/<image> and "
            f"{root}/test/<class>/<image> (or val, validation), or open the one folder of classes "
            "with aa_jax.data.image_folder"
        )
    if present[split] is None:
        found = ", ".join(sorted(path.name for path in present.values() if path))
        wanted = " or ".join(_SPLIT_FOLDERS.get(split, (split,)))
        raise DataError(f"{root} has no folder for split {split!r} ({wanted}); it has {found}")
    if _is_prepared(present[split]):
        return _open_prepared(present[split], present["train"], options)
    if present["train"] not in (None, present[split]) and "class_names" not in options:
        options = {**options, "class_names": image_folder(present["train"]).class_names}
    return image_folder(present[split], **options)


def _is_prepared(folder: pathlib.Path) -> bool:
    return (folder / MANIFEST).is_file()


def _open_prepared(folder: pathlib.Path, train: pathlib.Path | None, options: dict):
    source = prepared_source(folder, **options)
    if train not in (None, folder) and _is_prepared(train):
        names = prepared_source(train).class_names
        if source.class_names != names:
            raise DataError(
                f"{folder} and {train} were prepared with different classes "
                f"({len(source.class_names)} and {len(names)}), so that labels differ in meaning; "
                "prepare both with labels of the same numbers"
            )
    return source
