"""The experiment file: what is refused, and in which words."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mtpd.config import ConfigError, json_schema, load_experiment

PROJECT = Path(__file__).parents[1]


def demo():
    return yaml.safe_load((PROJECT / "config/config.yaml").read_text())


@pytest.mark.parametrize(
    "path", ["config/config.yaml", "tests/data/tiny.yaml", *map(str, (PROJECT / "config/examples").iterdir())]
)
def test_the_files_that_come_with_the_project_are_valid(path):
    assert load_experiment(yaml.safe_load((PROJECT / path).read_text())).arms


def test_the_schema_in_the_project_is_the_models():
    message = "run: python -m mtpd.config"
    assert (PROJECT / "config/schema.json").read_text() == json_schema(), message


def changed(path, value):
    experiment = demo()
    node = experiment
    *parents, last = path
    for key in parents:
        node = node[key]
    node[last] = value
    return experiment


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            ("recipes", "pkd", "optimiser"),
            {},
            "recipes.pkd.optimiser: unknown key; did you mean 'optimizer'?",
        ),
        (("dataset", "gen"), 1, "dataset.gen: unknown key"),
        (("arms", "direct", "recipe"), "pdk", "arms.direct.recipe: found 'pdk', did you mean 'pkd'?"),
        (("arms", "direct", "policy"), "bsg", "arms.direct.policy: found 'bsg'"),
        (("arms", "direct", "chain"), "swin32@4", "arms.direct: 'chain' goes without 'policy'"),
        (("arms", "direct"), {"recipe": "pkd", "chain": "swin32x4"}, "'swin32x4' is not a chain"),
        (("arms", "direct"), {"recipe": "alone", "chain": "swin32@4"}, "recipe 'alone' has no loss"),
        (("pools", "all"), ["swin23"], "pools.all: found 'swin23', did you mean 'swin32'?"),
        (("pools", "all"), [], "pools.all: expected at least one teacher"),
        (("detectors", "swin32", "file"), "x.pth", "detectors.swin32: give exactly one of"),
        (("detectors", "swin32"), {"config": "c.py", "url": "http://x"}, "'url' needs 'sha256'"),
        (("recipes", "pkd", "batch_size"), 0, "recipes.pkd.batch_size: found 0"),
        (("students",), [], "students: found []"),
        (("students",), ["r18"], "students: found 'r18', did you mean"),
        (("seeds",), "all", "seeds: found 'all'"),
    ],
)
def test_a_mistake_is_named_by_its_key(path, value, said):
    with pytest.raises(ConfigError) as error:
        load_experiment(changed(path, value), "my.yaml")
    assert str(error.value).startswith("my.yaml: ")
    assert said in str(error.value)


def test_every_mistake_is_told_at_once():
    experiment = changed(("recipes", "pkd", "batchsize"), 4)
    experiment["order"]["probes"] = 3
    with pytest.raises(ConfigError) as error:
        load_experiment(experiment)
    assert len(str(error.value).splitlines()) == 2


def test_epochs_of_a_policy_are_all_its_stages_together():
    experiment = load_experiment(demo())
    chains = experiment.arm_chains("progressive", {"bgs": [["r18w32", "swin32"]]})
    assert [str(chain) for chain in chains] == ["r18w32@4+swin32@4"]


def test_reading_an_experiment_imports_neither_torch_nor_mmdet():
    code = "import sys, mtpd.config; sys.exit(bool({'torch', 'mmdet', 'mmengine'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
