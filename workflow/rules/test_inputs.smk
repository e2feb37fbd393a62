"""Input functions for scores on the test split; without one, there are no such scores."""

# Known once the data are imported.
has_test = test_split.has_test(experiment.dataset)


def test_annotations():
    """The annotations of the test split, and those of training, which give the classes."""
    test = data_specs.split(experiment, layout, test_split.SPLIT)["annotations"]
    return {"train": annotations()["train"], "test": test}


def student_test_settings(wildcards):
    which = (wildcards.student, wildcards.recipe, wildcards.chain, int(wildcards.seed))
    return specs.student_test(experiment, layout, *which)


def detector_test(name):
    """The test scores of a detector; of one that is trained here, those of its stage."""
    is_trained = experiment.detectors[name].train
    return trained(name, test_split.METRICS) if is_trained else layout.detector(name, test_split.METRICS)


def test_results(arms=None):
    """The test scores of the students of the arms' rows."""
    found = table_rows(arms) if has_test else []
    return sorted({rows.last_stage_file(row, test_split.METRICS) for row in found})
