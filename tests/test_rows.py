"""What an experiment trains and is told, without Snakemake: rows, paths, specs."""

import re

import pytest
from test_experiment import small

from mtpd.experiment import rows
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout, logs, work
from mtpd.experiment.reading import load_experiment

LAYOUT = Layout("small", "shapes")
STAGE = "results/shapes/students/r18w8/pkd"


def experiment(**changes):
    return load_experiment({**small(), **changes})


def orders(student, pool):
    assert (student, pool) == ("r18w8", "all")
    return {"bgs": [["r18w16", "swin32"]], "all": [["a", "b"], ["b", "a"]]}


def test_a_policy_gives_a_row_for_each_order_and_seed():
    arm = {"recipe": "pkd", "policy": "bgs", "pool": "all", "epochs": 9}
    found = rows.rows(experiment(arms={"progressive": arm}, seeds=[0, 3]), LAYOUT, orders)
    assert [(row["chain"], row["seed"]) for row in found] == [
        ("r18w16@4+swin32@5", 0),
        ("r18w16@4+swin32@5", 3),
    ]
    assert found[1]["stages"] == [
        {"chain": "r18w16@4", "folder": f"{STAGE}/r18w16@4/seed3"},
        {"chain": "r18w16@4+swin32@5", "folder": f"{STAGE}/r18w16@4+swin32@5/seed3"},
    ]


def test_arms_with_the_same_beginning_share_its_files():
    arms = {
        "one": {"recipe": "pkd", "chain": "r18w32@4"},
        "two": {"recipe": "pkd", "chain": "r18w32@4+swin32@4"},
    }
    found = rows.rows(experiment(arms=arms), LAYOUT, orders)
    assert rows.stage_files(found, "metrics.json") == [
        f"{STAGE}/r18w32@4+swin32@4/seed0/metrics.json",
        f"{STAGE}/r18w32@4/seed0/metrics.json",
    ]


def test_written_arms_ask_for_no_order():
    found = experiment(arms={"written": {"recipe": "pkd", "chain": "swin32@2"}})
    assert rows.ordered_pools(found) == []
    assert len(rows.rows(found, LAYOUT, orders=None)) == 1


@pytest.mark.parametrize(
    ("arm", "longest"),
    [
        ({"chain": "swin32@1+r18w16@1"}, 2),
        ({"policy": "bgs", "pool": "all", "epochs": 9}, 2),  # max_teachers: 2
        ({"policy": "strongest", "pool": "all", "epochs": 9}, 1),
        ({"policy": "by-ap", "pool": "all", "epochs": 9}, 3),
        ({"policy": "min-max", "pool": "all", "epochs": 9}, 2),
        ({"policy": "min-sum", "pool": "all", "epochs": 9}, 2),
        ({"policy": "pairs", "pool": "all", "epochs": 9}, 2),
        ({"policy": "all", "pool": "all", "epochs": 9}, 3),
    ],
)
def test_how_many_stages_an_arm_can_have(arm, longest):
    found = experiment(arms={"arm": {"recipe": "pkd", **arm}})
    assert rows.longest_chain(found, "arm", "r18w8") == longest


def test_the_most_teachers_of_an_order_do_not_limit_pairs():
    arm = {"recipe": "pkd", "policy": "pairs", "pool": "all", "epochs": 9}
    found = experiment(arms={"arm": arm}, order={"max_teachers": 1})
    assert rows.longest_chain(found, "arm", "r18w8") == 2


def arms_with(**changes):
    written = {"recipe": "pkd", "chain": "swin32@2"}
    return {name: {**written, **changes.get(name, {})} for name in ("arm", "control")}


def test_arms_are_compared_as_the_experiment_says():
    arms = arms_with(arm={"against": ["control"]}) | {"other": {"recipe": "pkd", "chain": "swin32@3"}}
    found = experiment(arms=arms)
    assert rows.comparisons(found) == [("arm", "control")]
    assert list(rows.compared_arms(found)) == ["arm", "control"]


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (arms_with(arm={"against": ["control", "control"]}), "arms.arm.against: found one twice"),
        (
            arms_with(arm={"against": ["control"], "seeds": [1]}, control={"seeds": [0, 2]}),
            "arms.arm.against: found 'control', which shares no seed with 'arm'; expected at least one of 1",
        ),
        (
            arms_with(arm={"against": ["control"], "students": ["r18w8"]}, control={"students": ["r18w16"]}),
            "arms.arm.against: found 'control', which shares no student with 'arm'; expected at least",
        ),
        *(
            (
                arms_with(
                    arm={"against": ["control"]},
                    control={"chain": None, "policy": p, "pool": "all", "epochs": 9},
                ),
                f"arms.arm.against: found 'control', whose policy '{p}' gives several chains; expected",
            )
            for p in ("all", "pairs")
        ),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(arms, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        experiment(arms=arms, students=["r18w8", "r18w16"])


def test_orders_are_studied_where_an_arm_trains_many():
    policy = {"recipe": "pkd", "pool": "all", "epochs": 9}
    arms = {name: {**policy, "policy": name} for name in ("bgs", "pairs", "all")}
    found = experiment(arms=arms)
    assert rows.studied_pools(found) == [("r18w8", "all")]
    assert list(rows.studied_arms(found, "r18w8", "all")) == ["pairs", "all"]
    assert rows.studied_pools(experiment(arms={"bgs": arms["bgs"]})) == []


def test_a_pool_with_too_many_sequences_is_refused():
    detectors = small()["detectors"]
    detectors |= {f"t{i}": detectors["swin32"] for i in range(12)}
    arm = {"recipe": "pkd", "policy": "min-sum", "pool": "all", "epochs": 99}
    changes = {"detectors": detectors, "pools": {"all": [f"t{i}" for i in range(12)]}, "arms": {"arm": arm}}
    assert experiment(**changes, order={"max_teachers": 5}).arms
    with pytest.raises(
        ConfigError, match=r"arms\.arm\.policy: found 'min-sum' with a pool of 12; .* expected at most"
    ):
        experiment(**changes, order={"max_teachers": 12})


def test_students_and_teachers_are_reported_once():
    assert rows.reported_detectors(experiment()) == ["r18w8", "r18w16", "r18w32", "swin32"]


def test_logs_and_state_lie_beside_each_other():
    folder = LAYOUT.stage("r18w8", "pkd", "swin32@8", 0)
    assert folder == f"{STAGE}/swin32@8/seed0"
    assert logs(folder) == "logs/shapes/students/r18w8/pkd/swin32@8/seed0"
    assert work(folder) == "work/shapes/students/r18w8/pkd/swin32@8/seed0"
