"""Configs: plain data in `ml_collections.ConfigDict`, from a Python file plus overrides.

A config file has a function `get_config(arg="")`. `load("configs/a.py:variant=blur,smoke")` calls
it with what follows the colon, which the file reads with `parse_arg`; `override` then sets single
fields from the command line. A misspelt field is an error that names the nearest one.
"""

import ast
import difflib
import importlib.util
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections


class ConfigError(ValueError):
    """A config file, its argument or an override that cannot be used."""


def load(spec: str) -> ml_collections.ConfigDict:
    """Loads `path/to/config.py` or `path/to/config.py:arg`.

    Raises:
        ConfigError: there is no such file, or it has no `get_config`.
    """
    path, _, arg = spec.partition(":")
    file = pathlib.Path(path)
    if not file.is_file():
        raise ConfigError(f"--config must name a Python file, got {path!r}: there is no such file")
    module_spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if module_spec is None:
        raise ConfigError(f"--config must name a Python file (.py), got {path!r}")
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ConfigError(f"{path} must define get_config(arg), and does not")
    return module.get_config(arg)


def parse_arg(arg: str, **defaults: Any) -> ml_collections.ConfigDict:
    """Reads a config file's argument, such as "variant=blur,smoke".

    Args:
        arg: comma-separated `name=value`; a name alone means True.
        **defaults: every name there is, with its default, which also gives its type.

    Returns:
        The defaults with what `arg` sets.

    Raises:
        ConfigError: an unknown name, or a value of the wrong type.
    """
    values = ml_collections.ConfigDict(defaults)
    for item in filter(None, (part.strip() for part in arg.split(","))):
        name, equals, text = item.partition("=")
        override(values, {name: text if equals else "True"})
    return values


def override(config: ml_collections.ConfigDict, values: Mapping[str, str]) -> None:
    """Sets fields of a config in place from text, each to the type it has already.

    Args:
        config: the config.
        values: text by dotted name, such as `{"optimizer.learning_rate": "0.1"}`. A tuple is
            written `(1, 2)` or `1,2`; the text None unsets an optional field.

    Raises:
        ConfigError: an unknown field (with the nearest one), a group of fields, or text that is
            not of the field's type.
    """
    for name, text in values.items():
        parent = config
        *groups, last = name.split(".")
        for position, key in enumerate([*groups, last]):
            if not isinstance(parent, ml_collections.ConfigDict) or key not in parent:
                raise _unknown_field(config, name)
            if position < len(groups):
                parent = parent[key]
        if isinstance(parent[last], ml_collections.ConfigDict):
            fields = ", ".join(f"{name}.{key}" for key in parent[last])
            raise ConfigError(f"{name} is a group of fields, set one of them: {fields}")
        # A change of type (None to a number) is checked by _parse, not by ConfigDict.
        with parent.ignore_type():
            parent[last] = _parse(name, text, parent[last])


def split_command_line(arguments: Iterable[str]) -> dict[str, str]:
    """Turns `["--config.a.b=1", "--config.c", "2"]` into `{"a.b": "1", "c": "2"}`.

    Raises:
        ConfigError: something else is among them, or a value is missing.
    """
    values = {}
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, text = argument.partition("=")
        if not name.startswith("--config."):
            raise ConfigError(
                f"unknown argument {argument!r}: fields of the config are set with "
                "--config.<field>=<value>"
            )
        if not equals:
            text = next(remaining, None)
            if text is None:
                raise ConfigError(f"{name} needs a value: {name}=<value>")
        values[name.removeprefix("--config.")] = text
    return values


def to_json(config: ml_collections.ConfigDict) -> str:
    """The config as indented JSON; tuples become lists."""
    return json.dumps(config.to_dict(), indent=2)


def from_json(text: str) -> ml_collections.ConfigDict:
    """The inverse of `to_json`; lists become tuples."""
    return ml_collections.ConfigDict(_with_tuples(json.loads(text)))


def differences(old: ml_collections.ConfigDict, new: ml_collections.ConfigDict) -> list[str]:
    """One line, "name: old -> new", for each field in which two configs differ."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return [
        f"{name}: {before.get(name, 'absent')!r} -> {after.get(name, 'absent')!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "absent") != after.get(name, "absent")
    ]


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence with the known name nearest to an unknown one."""
    known = sorted(known)
    lowered = {each.lower(): each for each in known}
    nearest = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[nearest[0]]!r}? " if nearest else ""
    return f"{hint}There are: {', '.join(known)}."


def _unknown_field(config: ml_collections.ConfigDict, name: str) -> ConfigError:
    return ConfigError(
        f"the config has no field {name!r}; {suggest(name, (key for key, _ in _flat(config)))}"
    )


def _flat(config: ml_collections.ConfigDict, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse(name: str, text: str, old: Any) -> Any:
    """Text as a value of the type of `old`."""
    if isinstance(old, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = {"true": True, "false": False}.get(text.lower(), text)
    if value is None or old is None:
        return value
    if isinstance(old, tuple) and not isinstance(value, str):
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(old, bool) and isinstance(value, bool):
        return value
    if isinstance(old, float) and number:
        return float(value)
    if isinstance(old, int) and not isinstance(old, bool) and number and value == int(value):
        return int(value)
    raise ConfigError(
        f"{name} must be of type {type(old).__name__} (it is {old!r} now), got {text!r}"
    )


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(_with_tuples(each) for each in value) if isinstance(value, list) else value
