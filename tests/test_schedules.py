"""The learning rate of every iteration, against closed forms; what is told of stages that are too short."""

import math

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, OneCycleLR, OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from test_checks import settings  # noqa: F401, a fixture

from mtpd.checks import stage_lengths as checks
from mtpd.checks.subjects import Passed
from mtpd.training.schedules import milestones, schedules

RATE, ITERATIONS, EPOCHS = 0.02, 10, 12
STEP = {
    "optimizer": {"type": "SGD", "lr": RATE},
    "schedule": {"kind": "step", "milestones": (2 / 3, 11 / 12), "gamma": 0.1, "warmup_iters": 25},
}


def with_gamma(gamma):
    return {**STEP, "schedule": {**STEP["schedule"], "gamma": gamma}}


class Stage:
    """Steps the schedulers as mmengine's hook does: after an iteration, or after an epoch."""

    def __init__(self, recipe=STEP):
        self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
        wrapper = OptimWrapper(self.optimizer)
        self.built = [
            PARAM_SCHEDULERS.build({**config, "optimizer": wrapper}) for config in schedules(recipe, EPOCHS)
        ]

    def epochs(self, first, last):
        """The rate of each iteration."""
        for _ in range(first, last):
            for _ in range(ITERATIONS):
                yield self.optimizer.param_groups[0]["lr"]
                self._step(by_epoch=False)
            self._step(by_epoch=True)

    def _step(self, by_epoch):
        for scheduler in self.built:
            if scheduler.by_epoch == by_epoch:
                scheduler.step()


def expected(iteration, gamma=0.1):
    """Linear from 0.001 of the rate over 25 iterations; times gamma after epoch 8 of 12, and after 11."""
    warm = min(1, 0.001 + 0.999 * iteration / (25 - 1))
    epoch = iteration // ITERATIONS
    return RATE * warm * gamma ** ((epoch >= 8) + (epoch >= 11))


@pytest.mark.parametrize("gamma", [0.1, 0.3])
def test_the_step_schedule_is_that_of_the_official_recipe(gamma):
    """Which has gamma 0.1."""
    rates = list(Stage(with_gamma(gamma)).epochs(0, EPOCHS))
    assert rates == pytest.approx([expected(i, gamma) for i in range(ITERATIONS * EPOCHS)], rel=1e-6)


@pytest.mark.parametrize("epochs", [1, 2, EPOCHS])
def test_the_one_cycle_schedule_is_torchs_over_the_whole_stage(epochs):
    """At its end, the rate is nearly 0."""
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE) for _ in range(2))
    recipe = {**STEP, "schedule": {"kind": "one-cycle"}}
    (config,) = schedules(recipe, epochs)
    config = {key: value for key, value in config.items() if key not in ("type", "convert_to_iter_based")}
    built = OneCycleLR.build_iter_from_epoch(optimizer=OptimWrapper(ours), epoch_length=ITERATIONS, **config)
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, RATE, total_steps=epochs * ITERATIONS)
    for step in range(epochs * ITERATIONS):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"]), step
        if step + 1 < epochs * ITERATIONS:
            ours.step()
            theirs.step()
            built.step()
            reference.step()
    assert ours.param_groups[0]["lr"] < RATE / 1e5


def cosine(iteration, flat, final, length):
    """RTMDet's: a linear warm-up, flat, then half a cosine to ``final``, which step ``length`` would have."""
    warm = min(1, 0.001 + 0.999 * iteration / (4 - 1))
    done = max(0, iteration - flat) / (length - flat)
    return RATE * warm * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)


@pytest.mark.parametrize(
    ("given", "epochs", "flat", "final"),
    [({}, 12, 6, 0.05), ({}, 5, 2, 0.05), ({"flat": 0.9, "final": 0.0}, 10, 9, 0.0)],
)
@pytest.mark.parametrize("interrupted", [None, 23])
def test_the_cosine_schedule_is_that_of_rtmdet(given, epochs, flat, final, interrupted):
    """Also where it resumes in mid-epoch, with schedules built anew from their saved state."""

    def built():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
        schedule = {**STEP["schedule"], "kind": "cosine", "warmup_iters": 4, **given}
        warm, falls = schedules({**STEP, "schedule": schedule}, epochs)
        falls = {key: value for key, value in falls.items() if key not in ("type", "convert_to_iter_based")}
        wrapper = OptimWrapper(optimizer)
        fall = CosineAnnealingLR.build_iter_from_epoch(optimizer=wrapper, epoch_length=ITERATIONS, **falls)
        return optimizer, [PARAM_SCHEDULERS.build({**warm, "optimizer": wrapper}), fall]

    optimizer, used = built()
    for step in range(epochs * ITERATIONS):
        if step == interrupted:
            states = [optimizer.state_dict(), *(scheduler.state_dict() for scheduler in used)]
            optimizer, used = built()
            for part, state in zip((optimizer, *used), states, strict=True):
                part.load_state_dict(state)
        expected_rate = cosine(step, flat * ITERATIONS, final, epochs * ITERATIONS)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected_rate, rel=1e-6), step
        for scheduler in used:
            scheduler.step()


@pytest.mark.parametrize(("warmup", "warned"), [(4, False), (5, True)])
def test_a_warmup_that_ends_after_the_flat_part_is_told(warmup, warned, settings, tmp_path):  # noqa: F811
    """16 images, 4 a batch: 4 iterations in the first of two epochs."""
    schedule = {"kind": "cosine", "milestones": (0.5,), "warmup_iters": warmup}
    settings["recipes"]["pkd"] |= {"schedule": schedule, "batch_size": 4}
    settings["dataset"]["train_images"] = 16
    lines = checks.warnings(settings, Passed(settings, tmp_path), {"pkd": 2})
    assert len(lines) == warned
    assert all("falls after 4 iterations" in line for line in lines)


@pytest.mark.parametrize(
    ("part", "epochs", "drop"),
    [
        (11 / 12, 18, 17),  # 16.5
        (11 / 12, 42, 39),  # 38.5
        (11 / 12, 6, 6),  # 5.5
        (1 / 2, 5, 3),
        (1 / 2, 7, 4),
        (1 / 6, 15, 3),  # 2.5
        (0.145, 100, 15),  # 14.5, of which floats make 14.499999999999998
        (2 / 3, 12, 8),
        (2 / 3, 8, 5),  # 5.33
        (3 / 4, 36, 27),
        (1 / 1000, 12, 1),  # no drop comes before the first epoch
    ],
)
def test_a_rate_drops_after_the_nearest_epoch_of_a_half_after_the_next(part, epochs, drop):
    assert milestones((part,), epochs) == [drop]


@pytest.mark.parametrize(
    ("epochs", "drops"), [(12, [8, 11]), (24, [16, 22]), (36, [24, 33]), (18, [12, 17]), (42, [28, 39])]
)
@pytest.mark.parametrize("digits", [4, 6, 8, 16])
def test_a_fraction_means_the_same_with_any_digits(digits, epochs, drops):
    """Those of 1x, 2x and 3x are mmdet's; at 18 and 42 epochs, 11/12 is a half."""
    assert milestones([round(part, digits) for part in (2 / 3, 11 / 12)], epochs) == drops


@pytest.mark.parametrize("interrupted", [1, 9])
def test_a_resumed_step_schedule_goes_on(interrupted):
    first, second = Stage(), Stage()
    list(first.epochs(0, interrupted))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    for fresh, saved in zip(second.built, first.built, strict=True):
        fresh.load_state_dict(saved.state_dict())
    rates = list(second.epochs(interrupted, EPOCHS))
    whole = [expected(i) for i in range(ITERATIONS * interrupted, ITERATIONS * EPOCHS)]
    assert rates == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "warned"),
    [
        ({"kind": "step", "milestones": (0.5,), "warmup_iters": 7}, False),
        ({"kind": "step", "milestones": (0.5,), "warmup_iters": 8}, True),
        ({"kind": "one-cycle", "milestones": (0.5,), "warmup_iters": 8}, False),
    ],
)
@pytest.mark.parametrize("known", ["train_images", "split"])
def test_a_stage_that_is_all_warmup_is_told(known, schedule, warned, settings, tmp_path):  # noqa: F811
    """13 images, 4 a batch: 4 iterations an epoch, 8 in the shortest stage."""
    settings["recipes"]["pkd"] |= {"schedule": schedule, "batch_size": 4}
    passed = Passed(settings, tmp_path)
    assert checks.warnings(settings, passed, {"pkd": 2}) == []  # the number of images is not known
    if known == "split":
        passed.add(("split", "train"), {"images": 13})
    else:
        settings["dataset"]["train_images"] = 13
    told = checks.warnings(settings, passed, {"pkd": 2})
    assert len(told) == warned
    assert all(
        line.startswith(
            "recipes.pkd.schedule.warmup_iters: found 8, but the shortest stage may have only 8 iterations"
        )
        for line in told
    )


@pytest.mark.parametrize(
    ("epochs", "drops", "told"),
    [(12, [8, 11], None), (7, [5, 6], None), (6, [4, 6], "after epoch 4"), (1, [1], "never")],
)
def test_drops_that_do_not_happen_are_told(epochs, drops, told, settings, tmp_path):  # noqa: F811
    settings["recipes"]["pkd"] |= STEP | {"batch_size": 4}
    assert milestones((2 / 3, 11 / 12), epochs) == drops
    lines = checks.warnings(settings, Passed(settings, tmp_path), {"pkd": epochs})
    assert len(lines) == (told is not None)
    assert all(f"(epochs: {epochs}) it drops {told}, because" in line for line in lines)
