"""Transforms of a recipe: student and teacher see the same image, and a stage resumes in mid-epoch."""

import pytest
import torch
from conftest import progressive_stage
from few import make, with_keys
from resuming import assert_same_results, run, run_in_two_jobs

from mtpd.checks import augmenting
from mtpd.distill.distiller import Preprocessor
from mtpd.experiment.reading import load_experiment

AUGMENT = [
    {"type": "YOLOXHSVRandomAug"},
    {"type": "RandomAffine", "max_rotate_degree": 20.0, "scaling_ratio_range": (0.8, 1.2)},
    {"type": "PhotoMetricDistortion"},
]


@pytest.fixture(scope="module")
def seen():
    """What student and teacher get of each batch."""
    return []


@pytest.fixture(scope="module")
def uninterrupted(dataset, teacher, seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    original = Preprocessor.forward

    def watched(self, data, training=False):
        found = original(self, data, training)
        if training:
            seen.append((found["inputs"], found["teacher_inputs"][0], list(data["inputs"])))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Preprocessor, "forward", watched)
        run(progressive_stage(dataset, teacher, augment=AUGMENT), folder)
    return folder


def test_the_teacher_sees_the_image_of_the_student(uninterrupted, seen):
    assert len(seen) == 9
    for student, teacher, images in seen:
        assert torch.equal(student, teacher)
        assert all(image.is_floating_point() for image in images)  # PhotoMetricDistortion was there


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stage_resumes_in_the_middle_of_an_epoch(
    workers, uninterrupted, dataset, teacher, tmp_path, monkeypatch
):
    stage = progressive_stage(dataset, teacher, augment=AUGMENT, workers=workers)
    run_in_two_jobs(stage, tmp_path, monkeypatch)
    assert_same_results(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"type": "PhotoMetricDistorsion"}, "did you mean 'PhotoMetricDistortion'?"),
        ({"type": "RandomCrop", "size": 3}, "RandomCrop: TypeError: "),
        ({"type": "RandomAffine", "scaling_ratio_range": (2.0, 1.0)}, "RandomAffine: AssertionError: "),
        ({"type": "Mosaic", "img_scale": (64, 64)}, "Mosaic mixes several images"),
        ({"type": "MixUp"}, "MixUp mixes several images"),
        ({"type": "CachedMosaic"}, "CachedMosaic mixes several images"),
        ({"type": "CachedMixUp"}, "CachedMixUp mixes several images"),
        ({"type": "CopyPaste"}, "CopyPaste mixes several images"),
    ],
)
def test_a_transform_that_cannot_be_used_is_told(step, words):
    assert words in augmenting.problem(step)


@pytest.mark.parametrize("step", AUGMENT)
def test_a_transform_of_one_image_can_be_used(step):
    assert augmenting.problem(step) is None


def test_detectors_of_an_arm_need_one_scale(dataset, teacher, tmp_path):
    few = with_keys(make(tmp_path, dataset, teacher), {"recipes.pkd.augment": AUGMENT})
    load_experiment(few)
    with pytest.raises(Exception, match=r"recipes\.pkd\.augment: expected one image_scale"):
        load_experiment(with_keys(few, {"detectors.teacher.image_scale": 2.0}))


def test_a_transform_needs_a_type(dataset, teacher, tmp_path):
    few = with_keys(make(tmp_path, dataset, teacher), {"recipes.pkd.augment": [{"prob": 1.0}]})
    with pytest.raises(Exception, match=r"augment\.0: expected 'type'"):
        load_experiment(few)
