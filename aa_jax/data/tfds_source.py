"""Any TensorFlow Datasets name as a source, read without TensorFlow.

TensorFlow is needed once, to download and prepare a dataset; reading needs only
tensorflow-datasets, provided the files are in a random-access format (array_record or parquet).
"""

import difflib
import operator
import os
import pathlib

import numpy as np

from aa_jax.data.errors import DataError

_PREPARE = (
    'prepare it once, in an environment that has TensorFlow, with: python -c "import '
    "tensorflow_datasets as tfds; tfds.builder('{name}', {data_dir}file_format='array_record')"
    '.download_and_prepare()"'
)


class TfdsSource:
    """Random-access source over a prepared dataset; build it with `tfds_source`."""

    def __init__(self, name, class_names, records, *, image_key, label_key):
        self.name, self.class_names = name, tuple(class_names)
        self._records, self._image_key, self._label_key = records, image_key, label_key

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict:
        record = self._records[operator.index(index)]
        image = np.asarray(record[self._image_key])
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=-1)
        return {"image": image, "label": int(record[self._label_key])}


def tfds_source(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike | None = None,
    image_key: str = "image",
    label_key: str = "label",
) -> TfdsSource:
    """Opens a prepared TensorFlow Datasets dataset with images and class labels.

    Nothing is downloaded and nothing is prepared.

    Args:
        name: as in the TFDS catalogue ("cifar10", "imagenet2012:5.1.0"), or the folder of one
            prepared version.
        split: any TFDS split, also sliced: "train", "validation", "train[:10%]".
        data_dir: where prepared datasets are; None takes TFDS_DATA_DIR or TFDS's default.
        image_key: feature that holds the image, uint8 with 1 or 3 channels.
        label_key: feature that holds the class label.

    Returns:
        A source: `len`, `[i]`, `num_classes`, `class_names`, `name`.

    Raises:
        DataError: tensorflow-datasets is not installed, there is no such dataset, split or
            feature, or it is not prepared in a random-access format.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"dataset {name!r} needs the package tensorflow-datasets (without TensorFlow): "
            'pip install "aa_jax[tfds]"'
        ) from error
    builder = _builder(tfds, name, data_dir)
    class_names = _check_features(tfds, name, builder.info.features, image_key, label_key)
    records = _open_split(builder, name, split, data_dir)
    return TfdsSource(
        f"tfds:{name}/{split}", class_names, records, image_key=image_key, label_key=label_key
    )


def _builder(tfds, name, data_dir):
    folder = pathlib.Path(name)
    if (folder / "dataset_info.json").is_file():
        return tfds.builder_from_directory(name)
    if not name or folder.is_absolute():
        raise DataError(
            f"{name!r} is no folder of a prepared TFDS dataset (no dataset_info.json in it); "
            "expected a TFDS name, or the folder of one version, such as .../cifar10/3.0.2"
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        # The message of TFDS lists its whole catalogue, one name per line; keep what helps.
        known = [line.strip("\t -") for line in str(error).splitlines() if "\t-" in line]
        near = difflib.get_close_matches(name.partition(":")[0], known, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        where = f" nor prepared in {data_dir}" if data_dir else ""
        raise DataError(f"TFDS knows no dataset {name!r}{where}{hint}") from error
    except ImportError as error:
        raise DataError(
            f"the definition of dataset {name!r} needs a package that is missing ({error}); a "
            "prepared copy can be read without it: give the folder of its version instead"
        ) from error
    except (ValueError, AssertionError) as error:  # versions and configs that do not exist
        raise DataError(f"TFDS cannot open {name!r}: {error}") from error


def _check_features(tfds, name, features, image_key, label_key) -> tuple[str, ...]:
    listed = {} if features is None else dict(features)
    have = ", ".join(f"{key} ({type(value).__name__})" for key, value in listed.items())
    for argument, key in (("image_key", image_key), ("label_key", label_key)):
        if key not in listed:
            raise DataError(
                f"dataset {name!r} has no feature {key!r}; set {argument} to one of: {have}"
            )
    if not isinstance(listed[label_key], tfds.features.ClassLabel):
        raise DataError(
            f"feature {label_key!r} of dataset {name!r} is not a class label; set label_key to "
            f"one that is, of: {have}"
        )
    shape, dtype = listed[image_key].shape, np.dtype(listed[image_key].np_dtype)
    if len(shape) != 3 or shape[-1] not in (1, 3) or dtype != np.uint8:
        raise DataError(
            f"feature {image_key!r} of dataset {name!r} must be a uint8 image (H, W, 1 or 3), got "
            f"{dtype} {shape}; set image_key to one that is, of: {have}"
        )
    return tuple(listed[label_key].names or map(str, range(listed[label_key].num_classes)))


def _open_split(builder, name, split, data_dir):
    try:
        return builder.as_data_source(split=split)
    except NotImplementedError as error:  # the file format is not random access
        kind = builder.info.file_format.value
        if builder.is_prepared():
            state = f"is prepared as {kind}, which has no random access, in {builder.data_dir}"
        else:
            state = f"is not prepared in {builder.data_dir}"
        place = f"data_dir='{data_dir}', " if data_dir else ""
        remedy = _PREPARE.format(name=name, data_dir=place)
        raise DataError(f"dataset {name!r} {state}; {remedy}") from error
    except (ValueError, KeyError, AssertionError) as error:
        available = ", ".join(builder.info.splits) or "none: it is not prepared"
        place = f"data_dir='{data_dir}', " if data_dir else ""
        remedy = "" if builder.info.splits else "; " + _PREPARE.format(name=name, data_dir=place)
        raise DataError(
            f"dataset {name!r} has no split {split!r}; available: {available}{remedy}"
        ) from error
