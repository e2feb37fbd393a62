"""Every key of an experiment file changes what it is for: weights, scores, costs, orders or rows.

A key without a case in ``key_cases`` stands there with the reason; so a new key needs one or the other.
"""

import json

import pandas as pd
import pytest
import torch
from conftest import PROJECT
from few import LAYOUT, imported, make, trained, with_keys
from key_cases import (
    COSTS,
    DRAWN,
    ELSEWHERE,
    EPOCHS,
    NO_RESULT,
    ROWS,
    SCORES,
    WEIGHTS,
    as_in_the_schema,
    keys,
)
from mmengine.config import Config

from mtpd.adaptation import levels, probe
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints
from mtpd.distill.losses import LOSSES
from mtpd.experiment import policies, rows, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment, load_with_files
from mtpd.experiment.recipe_schema import LOSS_OPTIONS
from mtpd.experiment.schema import Experiment


def test_every_key_has_a_case_or_a_reason():
    known = {".".join(key) for key in keys(Experiment)}
    changed = {as_in_the_schema(case[0]) for case in (*WEIGHTS, *SCORES, *COSTS, *ROWS)}
    tried = {key for key in known for case in changed if f"{case}.".startswith(f"{key}.")}
    assert not tried & NO_RESULT.keys()
    assert tried | ELSEWHERE.keys() | NO_RESULT.keys() == known


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without the text of configs, on which no result depends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "pretty_text", "")
        yield


@pytest.fixture(scope="module")
def few(dataset, teacher, tmp_path_factory):
    return make(tmp_path_factory.mktemp("few"), dataset, teacher)


@pytest.fixture(scope="module")
def results(few, tmp_path_factory):
    """What the experiment gives with some values; trained once for all cases with these."""
    known = {}

    def with_values(values):
        name = json.dumps(values, sort_keys=True)
        if name not in known:
            known[name] = trained(with_keys(few, values), tmp_path_factory.mktemp("results"))
        return known[name]

    return with_values


def tensors(out):
    return checkpoints.read_weights(out / "student.pth")


def equal(first, second):
    return first.keys() == second.keys() and all(
        first[name].shape == second[name].shape and torch.equal(first[name], second[name]) for name in first
    )


def test_the_same_keys_give_the_same_weights(few, results, tmp_path):
    assert equal(tensors(trained(few, tmp_path)), tensors(results({})))


@pytest.mark.parametrize(("key", "value", "given"), WEIGHTS, ids=[f"{case[0]}={case[1]}" for case in WEIGHTS])
def test_another_value_gives_other_weights(key, value, given, results):
    assert not equal(tensors(results({**given, key: value})), tensors(results(given)))


@pytest.mark.parametrize(("key", "value"), SCORES, ids=[case[0] for case in SCORES])
def test_another_validation_split_gives_other_scores(key, value, results):
    found = results({}), results({key: value})
    assert equal(*map(tensors, found))
    first, second = (json.loads((out / "predictions.json").read_text()) for out in found)
    assert first != second


def test_epochs_between_two_validations(results):
    """Of two epochs, both or only the last is scored; no weight changes."""
    found = results(EPOCHS), results({**EPOCHS, "recipes.pkd.validate_every": 2})
    scored = [pd.read_csv(out / "history.csv")["AP"].notna().tolist() for out in found]
    assert scored == [[True, True], [False, True]]
    assert equal(*map(tensors, found))


def test_the_evaluator_changes_no_number(results):
    found = results({}), results({"dataset.evaluator": "faster-coco-eval"})
    first, second = (json.loads((out / "metrics.json").read_text()) for out in found)
    assert first["evaluator"] != second["evaluator"]
    assert second["bbox"] == pytest.approx(first["bbox"], rel=0, abs=1e-10)


def costs(content, folder):
    with imported(content, folder) as found:
        spec = json.loads(json.dumps(specs.order(found, LAYOUT, "student", "both")))
        weights = [found.detectors[name].file for name in spec["detectors"]]
        measured = probe.adaptation_costs(spec["dataset"], spec["detectors"], weights, spec["order"])
        return levels.over_levels(measured)


@pytest.fixture(scope="module")
def base_costs(few, tmp_path_factory):
    return costs(few, tmp_path_factory.mktemp("costs"))


@pytest.mark.parametrize(("key", "value"), COSTS, ids=[case[0] for case in COSTS])
def test_another_value_gives_other_costs(key, value, few, base_costs, tmp_path):
    found = costs(with_keys(few, {key: value}), tmp_path)
    assert found.keys() == base_costs.keys()
    assert found["student", "teacher"] != base_costs["student", "teacher"]


def test_the_most_teachers_of_an_order(few):
    """The strongest teacher; where two are allowed, after the other one, which is near to both."""
    ap = {"student": 10.0, "other": 20.0, "teacher": 30.0}
    near = {("other", "teacher"): 0.1, ("student", "teacher"): 0.9, ("student", "other"): 0.1}
    for most, expected in ((1, ["teacher"]), (2, ["other", "teacher"])):
        found = load_experiment(with_keys(few, {"order.max_teachers": most}))
        settings = specs.order(found, LAYOUT, "student", "both")["order"]
        by_policy, _ = policies.orders_by_policy("student", ap, near, settings["max_teachers"])
        assert by_policy["bgs"] == by_policy["min-sum"] == [expected]


def planned(content):
    """The rows of the table, and what is compared."""

    def by_policy(student, pool):
        names = found.pools[pool]
        return {"all": [list(names)], "pairs": [[names[0], names[0]], list(names)]}

    found = (
        load_experiment(content) if not content.get("rehearsal") else load_with_files(content, "few", PROJECT)
    )
    layout = Layout(found.experiment, found.dataset.name)
    return rows.rows(found, layout, by_policy), rows.comparisons(found)


@pytest.mark.parametrize(("key", "value", "given"), ROWS, ids=[case[0] for case in ROWS])
def test_another_value_gives_other_rows(key, value, given, few):
    assert planned(with_keys(few, {**given, key: value})) != planned(with_keys(few, given))


@pytest.mark.parametrize("key", DRAWN)
def test_the_generated_data_set(key, few, tmp_path):
    def drawn(**changes):
        settings = {"train": 2, "val": 2, "size": 32, **changes}
        source = {"name": "drawn", "generate": settings, "scale": [64, 64]}
        generate = load_experiment({**few, "dataset": source}).dataset.generate
        return [
            shapes.generate(tmp_path, split, getattr(generate, split), generate.size, generate.seed)
            for split in ("train", "val")
        ]

    changed = [first != second for first, second in zip(drawn(**{key: DRAWN[key]}), drawn(), strict=True)]
    assert changed == {"train": [True, False], "val": [False, True]}.get(key, [True, True])


@pytest.mark.parametrize(
    ("name", "option"), [(n, option) for n, found in LOSS_OPTIONS.items() for option in found]
)
def test_every_option_of_a_loss_counts(name, option):
    given = {"mask_ratio": 0.2}.get(option, 2.0)
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(2))
    boxes = [torch.tensor([[0.1, 0.2, 0.7, 0.6]])] * 2

    def loss(**options):
        torch.manual_seed(0)
        return sum(LOSSES[name]([4], **options)([student], [teacher], boxes).values()).item()

    assert loss(**{option: given}) != pytest.approx(loss(), rel=1e-3)
