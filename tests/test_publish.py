"""Published detectors: small checkpoints, and cards that tell the truth about them."""

import json
import subprocess
import sys

import pytest
from conftest import PROJECT, build
from test_experiment import small

from mtpd import files
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.experiment import card_specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment

NAMES = {"r18w8": "r18_w8", "r18w16": "r18_w16"}
METRICS = {name: 10.0 for name in ("AP50", "AP75", "APs", "APm", "APl")} | {"APs": -100.0}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folder into which the script has published two detectors."""
    folder = tmp_path_factory.mktemp("published")
    experiment = small()
    experiment["detectors"] = {name: experiment["detectors"][name] for name in NAMES}
    experiment.update(pools={}, arms={"alone": {"recipe": "alone", "chain": "none@4"}})
    spec = card_specs.publish(load_experiment(experiment), Layout("small", "shapes"))
    for ap, (name, config) in enumerate(NAMES.items(), 30):
        found = configs.load_config(str(PROJECT / f"config/detectors/{config}.py"), {}, shapes.CLASSES)
        checkpoints.save_student(folder / f"{name}.full.pth", build(config), found, shapes.CLASSES, {})
        content = {"bbox": {"AP": ap, **METRICS}, "images": 6, "versions": {"torch": "2"}, "made_with": name}
        spec["detectors"][name]["made_with"] = files.fingerprint(name)
        files.write_json(folder / f"{name}.json", content)
    files.write_json(folder / "spec.json", spec)
    command = [sys.executable, PROJECT / "workflow/scripts/publish.py", "--spec", "spec.json"]
    command += ["--weights", *(f"{name}.full.pth" for name in NAMES)]
    command += ["--metrics", *(f"{name}.json" for name in NAMES)]
    command += ["--out", *(f"{name}.pth" for name in NAMES), "--card", "README.md"]
    subprocess.run(list(map(str, command)), cwd=folder, check=True)
    return folder


def test_metrics_of_other_settings_are_refused(published, tmp_path):
    spec = files.read_json(published / "spec.json")
    spec["detectors"]["r18w8"]["made_with"] = "other"
    files.write_json(tmp_path / "spec.json", spec)
    command = [sys.executable, PROJECT / "workflow/scripts/publish.py", "--spec", tmp_path / "spec.json"]
    command += ["--weights", *(f"{name}.full.pth" for name in NAMES)]
    command += ["--metrics", *(f"{name}.json" for name in NAMES)]
    command += ["--out", *(tmp_path / f"{name}.pth" for name in NAMES), "--card", tmp_path / "README.md"]
    done = subprocess.run(list(map(str, command)), cwd=published, capture_output=True, encoding="utf-8")
    assert done.returncode and "made with other settings than this experiment's: r18w8.json" in done.stderr
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_published_checkpoint_loads_into_its_detector(name, published):
    checkpoints.load_weights(build(NAMES[name]), published / f"{name}.pth")


def test_the_card_names_config_training_ap_and_hash(published):
    card = (published / "README.md").read_text()
    assert card.index("| r18w8") < card.index("| r18w16")  # by AP
    for name, config in NAMES.items():
        assert f"config/detectors/{config}.py" in card
        assert files.sha256(published / f"{name}.pth") in card
    assert "-100" not in card  # no object is small
    assert "6 epochs, 4 images a step, type AdamW" in card
    assert "AP 31.0 on 6 validation images" in card


def test_the_shipped_weights_are_those_of_their_cards_and_of_the_studies():
    card = (PROJECT / "config/zoo/README.md").read_text()
    shipped = sorted((PROJECT / "config/zoo").glob("*.pth"))
    assert sum(path.stat().st_size for path in shipped) < 25e6
    experiments = "".join(path.read_text() for path in (PROJECT / "config").rglob("*.yaml"))
    for path in shipped:
        assert files.sha256(path) in card
        assert files.sha256(path) in experiments
        assert json.dumps(shapes.CLASSES) == json.dumps(checkpoints.classes_of_checkpoint(path))
