"""The graph of stages: which there are, and what each waits for."""

from pathlib import Path

import pytest
from conftest import PROJECT
from test_experiment import small

from mtpd import files
from mtpd.experiment import identity, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment
from mtpd.plan import graph as graphs

LAYOUT = Layout("demo", "shapes")
STUDENT = "r18w8"
ORDERS = {"bgs": [["r18w16", "swin32"]], "reverse": [["swin32", "r18w16"]], "strongest": [["swin32"]]}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """With the configs, whose content counts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(PROJECT / "config")


def graph(orders=None, **changes):
    """The stages of ``small``, with these orders of the teachers."""
    return graphs.stages(load_experiment({**small(), **changes}), LAYOUT, lambda student, pool: orders)


def with_order(**changes):
    """Whether ``small`` with other settings knows an order that was made with its own."""
    before, after = load_experiment(small()), load_experiment({**small(), **changes})
    path = files.Path(LAYOUT.order(STUDENT, "all", "order.json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    made_with = identity.made_with(specs.order(before, LAYOUT, STUDENT, "all"))
    files.write_json(path, {"orders": ORDERS, identity.KEY: made_with})
    return graphs.known_orders(after, LAYOUT)(STUDENT, "all") == ORDERS


def test_an_order_made_with_other_settings_is_not_known():
    assert graphs.known_orders(load_experiment(small()), LAYOUT)(STUDENT, "all") is None
    assert with_order()
    assert with_order(seeds=[0, 1, 2])
    assert not with_order(pools={"all": small()["pools"]["all"][1:]})
    assert not with_order(order={"max_teachers": 1})
    assert not with_order(order={**small().get("order", {}), "probe_images": 7})
    detectors = small()["detectors"]
    detectors["swin32"]["overrides"] = {"model": {"backbone": {"drop_path_rate": 0}}}
    assert not with_order(detectors=detectors)


def test_the_weights_that_a_stage_needs():
    content = small()
    content["recipes"]["given"] = {**content["recipes"]["alone"], "inherit": "swin32"}
    content["recipes"]["own"] = {**content["recipes"]["pkd"], "start": "student"}
    content["arms"] = {
        "given": {"recipe": "given", "chain": "none@5"},
        "own": {"recipe": "own", "chain": "r18w16@5+swin32@5"},
    }
    nodes = graphs.stages(load_experiment(content), LAYOUT, lambda student, pool: None)
    reads = {(node.recipe, node.chain): node.checkpoints for node in nodes.values() if node.epochs == 5}
    detectors = "results/shapes/detectors"
    assert reads == {
        ("given", "none@5"): [f"{detectors}/swin32/weights.pth"],
        ("own", "r18w16@5"): [f"{detectors}/r18w16/weights.pth", f"{detectors}/{STUDENT}/weights.pth"],
        ("own", "r18w16@5+swin32@5"): [
            f"{detectors}/swin32/weights.pth",
            f"results/shapes/students/{STUDENT}/own/r18w16@5/seed0/student.pth",
        ],
    }


def test_a_stage_of_a_policy_that_is_also_written_waits_for_no_order():
    written = {"recipe": "pkd", "chain": "swin32@4+r18w16@4"}
    arms = {"every": {"recipe": "pkd", "policy": "pairs", "pool": "all", "epochs": 8}, "written": written}
    nodes = {node.chain: node for node in graph(arms=arms).values() if node.recipe == "pkd"}
    assert nodes["swin32@4"].pool is nodes["swin32@4+r18w16@4"].pool is None
    assert nodes["r18w16@4"].pool == "all"
    alone = {key: [Path(before).parts[-4] for before in node.waits_for] for key, node in nodes.items()}
    assert alone["swin32@4"] == ["swin32"]
    assert set(alone["r18w16@4"]) >= {"r18w16", "r18w32", "swin32"}


def test_the_shortest_stage_of_each_recipe():
    assert graphs.shortest_stages(graph(ORDERS).values()) == {"alone": 4, "pkd": 4}
