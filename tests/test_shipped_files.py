"""The shipped experiment files for small machines: demo, zoo, examples, studies. They may share a folder.

The settings of a study must stay as they are, so that its finished results stay valid: a hash of each is in
``tests/data/studies.json``. After a change on purpose, write them again:

    PYTHONPATH=src:tests python tests/test_shipped_files.py

Then the diff of that file names the studies that changed.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import PROJECT

from mtpd import files
from mtpd.experiment.reading import read_file

FOLDERS = ("config", "config/examples", "config/studies")
PART = Path("config/studies/shapes.yaml")  # included by studies
FOUND = (path.relative_to(PROJECT) for folder in FOLDERS for path in (PROJECT / folder).glob("*.yaml"))
FILES = sorted(set(FOUND) - {PART})
KNOWN = PROJECT / "tests/data/studies.json"


def shared(experiment):
    """What must not differ between experiments on one data set, by kind and name."""
    found = {("dataset", ""): experiment.dataset.model_dump()}
    for name, detector in experiment.detectors.items():
        found["detector", name] = detector.model_dump(exclude={"license"})
    for name, recipe in experiment.recipes.items():
        found["recipe", name] = recipe.model_dump()
    for name, members in experiment.pools.items():
        found["pool", name] = members, experiment.order.model_dump()
    return found


@pytest.fixture(scope="module")
def experiments():
    return {path: read_file(PROJECT / path, PROJECT) for path in FILES}


def test_every_experiment_has_results_of_its_own(experiments):
    names = [experiment.experiment for experiment in experiments.values()]
    assert len(FILES) > 15
    assert sorted(names) == sorted(set(names))


def test_names_mean_the_same_in_all_experiments_on_one_data_set(experiments):
    """Otherwise one experiment overwrites the results of another, which are then made again."""
    meanings = defaultdict(dict)
    for path, experiment in experiments.items():
        for (kind, name), meaning in shared(experiment).items():
            meanings[experiment.dataset.name, kind, name].setdefault(str(meaning), []).append(str(path))
    differing = {key: list(files.values()) for key, files in meanings.items() if len(files) > 1}
    assert not differing, differing


def settings_of_studies(experiments):
    """A hash of each study with all that it includes and all defaults; the order of names does not count."""
    studies = {path.stem: found for path, found in experiments.items() if path.parent.name == "studies"}
    # From another folder, the project's own files have absolute paths.
    texts = {name: found.model_dump_json().replace(f"{PROJECT}/", "") for name, found in studies.items()}
    return {name: files.fingerprint(json.loads(text)) for name, text in texts.items()}


def test_the_settings_of_studies_stay_as_they_are(experiments):
    found, known = settings_of_studies(experiments), files.read_json(KNOWN)
    differing = sorted(name for name in found.keys() | known if found.get(name) != known.get(name))
    assert not differing, f"undo it, or renew {KNOWN} on purpose: see the top of {Path(__file__).name}"


if __name__ == "__main__":
    files.write_json(KNOWN, settings_of_studies({path: read_file(PROJECT / path, PROJECT) for path in FILES}))
