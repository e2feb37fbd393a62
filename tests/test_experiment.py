"""The experiment file: what is refused, and in which words."""

import inspect
from pathlib import Path

import pytest
import yaml

from mtpd.distill.losses import LOSSES
from mtpd.experiment import rows
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.includes import with_includes
from mtpd.experiment.input_files import config_files
from mtpd.experiment.reading import json_schema, load_experiment
from mtpd.experiment.recipe_schema import LOSS_OPTIONS

PROJECT = Path(__file__).parents[1]


def small():
    """An experiment of a student and three teachers."""
    return yaml.safe_load((PROJECT / "tests/data/small.yaml").read_text())


FILES = [*PROJECT.glob("config/**/*.yaml"), *PROJECT.glob("tests/data/*.yaml")]
SHIPPED = [path for path in FILES if "arms" in yaml.safe_load(path.read_text())]  # others are included


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_files_that_come_with_the_project_are_valid(path):
    content = yaml.safe_load(path.read_text())
    assert load_experiment(with_includes(content, str(path), [path.parent])).arms


def test_the_schema_in_the_project_is_the_models():
    message = "run: python -m mtpd.experiment.reading"
    assert (PROJECT / "config/schema.json").read_text() == json_schema(), message


def changed(path, value):
    experiment = small()
    node = experiment
    *parents, last = path
    for key in parents:
        node = node[key]
    node[last] = value
    return experiment


def test_all_mistakes_are_reported_at_once():
    experiment = changed(("recipes", "pkd", "batchsize"), 4)
    experiment["order"]["probes"] = 3
    with pytest.raises(ConfigError) as error:
        load_experiment(experiment)
    assert len(str(error.value).splitlines()) == 2


def test_a_config_is_made_of_the_files_it_builds_on(tmp_path):
    (tmp_path / "base.py").write_text("_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'\n")
    (tmp_path / "light.py").write_text("_base_ = ['base.py']\nmodel = dict()\n")
    assert config_files(str(tmp_path / "light.py")) == [
        str(tmp_path / name) for name in ("light.py", "base.py")
    ]
    assert config_files("mmdet::_base_/models/retinanet_r50_fpn.py") == []
    (tmp_path / "base.py").unlink()
    with pytest.raises(ConfigError, match=r"base\.py: cannot be read"):
        config_files(str(tmp_path / "light.py"))


@pytest.mark.parametrize("text", ["_base_ = './a' + name", "with read_base():\n    from .a import *"])
def test_bases_that_cannot_be_followed_are_refused(text, tmp_path):
    (tmp_path / "odd.py").write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.py: cannot be read as an mmdet config"):
        config_files(str(tmp_path / "odd.py"))


def test_options_of_losses_are_those_of_their_classes():
    for name, loss in LOSSES.items():
        assert set(LOSS_OPTIONS[name]) == set(inspect.signature(loss).parameters) - {"channels"}


def test_epochs_of_a_policy_count_all_its_stages():
    arm = load_experiment(small()).arms["progressive"]
    chains = rows.chains_of(arm, {"bgs": [["r18w32", "swin32"]]})
    assert [str(chain) for chain in chains] == ["r18w32@4+swin32@4"]
