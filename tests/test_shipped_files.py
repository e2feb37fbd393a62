"""The shipped experiment files for small machines: demo, zoo, examples, studies. They may share a folder."""

from collections import defaultdict

import pytest
from conftest import PROJECT

from mtpd.experiment.reading import read_file

FOLDERS = ("config", "config/examples", "config/studies")
FILES = sorted(path.relative_to(PROJECT) for folder in FOLDERS for path in (PROJECT / folder).glob("*.yaml"))


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
