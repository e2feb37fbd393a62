"""What jobs are told: settings of stages, what is inherited, data loaders, cards."""

import pytest
from test_experiment import small

from mtpd.experiment import card_specs, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment
from mtpd.experiment.schema import Compute

LAYOUT = Layout("small", "shapes")


def experiment(**changes):
    return load_experiment({**small(), **changes})


def test_a_stage_without_a_teacher_has_no_loss_and_no_taps():
    spec = specs.stage(experiment(), LAYOUT, "r18w8", "pkd", "none@3", 1)
    assert spec["recipe"]["loss"] is None
    assert "taps" not in spec["student"]
    assert (spec["epochs"], spec["seed"], spec["teachers"]) == (3, 1, [])


def test_a_stage_is_told_of_its_own_teacher_only():
    spec = specs.stage(experiment(), LAYOUT, "r18w8", "pkd", "r18w32@4+swin32@5", 0)
    assert [teacher["config"] for teacher in spec["teachers"]] == ["config/detectors/swin_w32.py"]
    assert (spec["epochs"], spec["epochs_before"]) == (5, 4)


@pytest.mark.parametrize(
    ("adaptors", "chain", "told"),
    [
        ("later-stages", "swin32@4", "where-needed"),
        ("later-stages", "r18w32@4+swin32@5", "always"),
        ("later-stages", "none@4+swin32@5", "always"),
        ("from-identity", "swin32@4", "from-identity"),
        ("where-needed", "r18w32@4+swin32@5", "where-needed"),
    ],
)
def test_a_stage_is_told_which_adaptors_it_has(adaptors, chain, told):
    recipes = small()["recipes"]
    recipes["pkd"]["loss"]["adaptors"] = adaptors
    spec = specs.stage(experiment(recipes=recipes), LAYOUT, "r18w8", "pkd", chain, 0)
    assert spec["recipe"]["loss"]["adaptors"] == told


@pytest.mark.parametrize(
    ("inherit", "chain", "source"),
    [
        ("first", "r18w16@1", "r18w16"),
        ("first", "r18w16@1+swin32@1", None),
        ("each", "r18w16@1", "r18w16"),
        ("each", "r18w16@1+swin32@1", "swin32"),
        ("none", "r18w16@1", None),
        ("r18w32", "r18w16@1", "r18w32"),
        ("r18w32", "r18w16@1+swin32@1", None),
        ("first", "swin32~r18w16@1", "swin32"),
        ("each", "none@1", None),
        ("first", "none@1", None),
        ("r18w32", "none@1", "r18w32"),
        ("r18w32", "none@1+none@1", None),
    ],
)
def test_whose_neck_and_heads_a_stage_takes(inherit, chain, source):
    recipes = small()["recipes"]
    recipes["pkd"]["inherit"] = inherit
    found = experiment(recipes=recipes)
    assert specs.inherited_detector(found, "pkd", chain) == source
    spec = specs.stage(found, LAYOUT, "r18w8", "pkd", chain, 0)
    assert (spec["inherits"] or {}).get("config") == (source and found.detectors[source].config)


def test_an_arm_without_a_teacher_can_inherit_and_then_it_is_checked():
    recipes = small()["recipes"]
    recipes["given"] = {**recipes["alone"], "inherit": "swin32"}
    found = experiment(recipes=recipes, arms={"given": {"recipe": "given", "chain": "none@1"}})
    assert specs.checks(found, LAYOUT)["inherits"] == [("r18w8", "swin32")]


def test_a_student_that_starts_from_its_own_weights_inherits_only_from_each_teacher():
    recipes = small()["recipes"]
    for inherit, source in (("first", None), ("each", "swin32"), ("r18w32", None)):
        recipes["pkd"].update(start="student", inherit=inherit)
        found = experiment(recipes=recipes)
        assert specs.inherited_detector(found, "pkd", "swin32@1") == source


def test_checks_look_at_every_pair_that_may_meet():
    pairs = specs.checks(experiment(), LAYOUT)["pairs"]
    assert pairs == [("r18w8", name) for name in ("r18w16", "r18w32", "swin32")]


@pytest.mark.parametrize(
    ("compute", "gpus", "threads", "loaders"),
    [
        ({}, 0, 1, 0),
        ({}, 0, 8, 0),
        ({}, 2, 8, 3),
        ({}, 2, 4, 1),
        ({}, 1, 1, 0),
        ({"workers": 5}, 0, 1, 5),
        ({}, 1, 32, 8),
        ({}, 2, 32, 8),
        ({"workers": 20}, 1, 32, 20),
    ],
)
def test_data_loaders_take_the_cores_that_gpus_leave(compute, gpus, threads, loaders):
    assert specs.loaders(Compute(**compute), gpus, threads) == loaders


def test_a_card_knows_every_detector_whose_weights_are_in_the_student():
    recipes = small()["recipes"]
    recipes["pkd"]["inherit"] = "r18w32"
    card = card_specs.export(experiment(recipes=recipes), LAYOUT, "r18w8", "pkd", "none@1+swin32@1", 0)
    assert card["inherited"] == ["r18w32", None]
    assert list(card["teachers"]) == ["r18w32", "swin32"]
