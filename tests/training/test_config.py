"""aa_jax.training.config: overrides, their errors, JSON."""

import ml_collections
import pytest
from ml_collections import config_dict

from aa_jax.training import config as configs
from aa_jax.training.config import ConfigError


@pytest.fixture
def config():
    return ml_collections.ConfigDict(
        {
            "name": "a",
            "steps": 10,
            "verbose": False,
            "mean": (0.5, 0.5),
            "ema_decay": config_dict.placeholder(float),
            "optimizer": {"learning_rate": 0.1, "schedule": "step"},
        }
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "1", "1"),
        ("steps", "20", 20),
        ("steps", "1e3", 1000),
        ("verbose", "true", True),
        ("verbose", "False", False),
        ("mean", "(1, 2)", (1, 2)),
        ("mean", "0.1,0.2", (0.1, 0.2)),
        ("mean", "3", (3,)),
        ("ema_decay", "0.9", 0.9),
        ("ema_decay", "None", None),
        ("optimizer.learning_rate", "1", 1.0),
        ("optimizer.schedule", "cosine", "cosine"),
    ],
)
def test_text_takes_the_type_of_the_field(config, name, text, value):
    configs.override(config, {name: text})
    for key in name.split("."):
        config = config[key]
    assert config == value and type(config) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("step", "5", "no field 'step'; did you mean 'steps'"),
        ("optimizer.lerning_rate", "1", "did you mean 'optimizer.learning_rate'"),
        ("learning_rate", "1", "did you mean 'optimizer.learning_rate'"),
        ("name.first", "1", "no field 'name.first'"),
        ("zzz", "1", "no field 'zzz'; There are: ema_decay, mean, name, optimizer.learning_rate"),
        ("optimizer", "1", "optimizer is a group of fields, set one of them: optimizer.learning"),
        ("steps", "many", r"steps must be of type int \(it is 10 now\), got 'many'"),
        ("steps", "0.5", "steps must be of type int"),
        ("steps", "True", "steps must be of type int"),
        ("verbose", "1", "verbose must be of type bool"),
        ("mean", "half", "mean must be of type tuple"),
        ("optimizer.learning_rate", "fast", "must be of type float"),
    ],
)
def test_an_override_that_cannot_be_used_says_why(config, name, text, message):
    before = config.to_dict()
    with pytest.raises(ConfigError, match=message):
        configs.override(config, {name: text})
    assert config.to_dict() == before


def test_command_line():
    arguments = ["--config.a.b=1=2", "--config.c", "3"]
    assert configs.split_command_line(arguments) == {"a.b": "1=2", "c": "3"}
    for wrong in (["--steps=3"], ["extra"], ["--config.steps"]):
        with pytest.raises(ConfigError, match="unknown argument|needs a value"):
            configs.split_command_line(wrong)


def test_argument_of_a_config_file():
    parsed = configs.parse_arg("variant=blur,smoke", variant="none", smoke=False, width=16)
    assert parsed.to_dict() == {"variant": "blur", "smoke": True, "width": 16}
    with pytest.raises(ConfigError, match="did you mean 'variant'"):
        configs.parse_arg("varient=blur", variant="none")
    with pytest.raises(ConfigError, match="width must be of type int"):
        configs.parse_arg("width", width=16)


def test_loading_a_file(tmp_path):
    path = tmp_path / "small.py"
    path.write_text("def get_config(arg=''):\n    return {'arg': arg}\n")
    assert configs.load(f"{path}:a=1,b") == {"arg": "a=1,b"}
    path.write_text("x = 1\n")
    with pytest.raises(ConfigError, match="must define get_config"):
        configs.load(str(path))
    with pytest.raises(ConfigError, match="there is no such file"):
        configs.load(f"{tmp_path / 'missing.py'}:a")
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ConfigError, match="must name a Python file"):
        configs.load(str(tmp_path / "config.yaml"))


def test_json_gives_the_config_back(config):
    again = configs.from_json(configs.to_json(config))
    assert again.to_dict() == config.to_dict() and isinstance(again.mean, tuple)


def test_differences_between_configs(config):
    other = configs.from_json(configs.to_json(config))
    assert configs.differences(config, other) == []
    other.optimizer.learning_rate = 0.2
    other.extra = 1
    assert configs.differences(config, other) == [
        "extra: 'absent' -> 1",
        "optimizer.learning_rate: 0.1 -> 0.2",
    ]
