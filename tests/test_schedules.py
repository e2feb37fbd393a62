"""The learning rate of every iteration, against closed forms; what is told of stages that are too short."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from test_checks import settings  # noqa: F401, a fixture

from mtpd.checks import schedules as checks
from mtpd.checks.subjects import Passed
from mtpd.training.schedules import milestones, schedules

RATE, ITERATIONS, EPOCHS = 0.02, 10, 12
STEP = {
    "optimizer": {"type": "SGD", "lr": RATE},
    "schedule": {"kind": "step", "milestones": (2 / 3, 11 / 12), "gamma": 0.1, "warmup_iters": 25},
}


class Stage:
    """Steps the schedulers as mmengine's hook does: after an iteration, or after an epoch."""

    def __init__(self, recipe=STEP):
        self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
        wrapper = OptimWrapper(self.optimizer)
        self.built = [self._built(config, wrapper) for config in schedules(recipe, EPOCHS)]

    @staticmethod
    def _built(config, wrapper):
        """As mmengine's runner does."""
        kind = PARAM_SCHEDULERS.get(config["type"])
        if config.get("convert_to_iter_based"):
            settings = {
                key: value for key, value in config.items() if key not in ("type", "convert_to_iter_based")
            }
            return kind.build_iter_from_epoch(optimizer=wrapper, epoch_length=ITERATIONS, **settings)
        return PARAM_SCHEDULERS.build({**config, "optimizer": wrapper})

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


def expected(iteration):
    """Linear from 0.001 of the rate over 25 iterations; a tenth after epoch 8 of 12, a hundredth after 11."""
    warm = min(1, 0.001 + 0.999 * iteration / (25 - 1))
    epoch = iteration // ITERATIONS
    return RATE * warm * 0.1 ** ((epoch >= 8) + (epoch >= 11))


def test_the_step_schedule_is_that_of_the_official_recipe():
    rates = list(Stage().epochs(0, EPOCHS))
    assert rates == pytest.approx([expected(i) for i in range(ITERATIONS * EPOCHS)], rel=1e-6)


def one_cycle(iteration):
    """Half cosines: from 1/25 of the rate up to it in 30% of the stage, then to 1/10,000 of the start."""
    last = ITERATIONS * EPOCHS - 1
    top = 0.3 * (last + 1) - 1
    up = iteration <= top
    start, end = (RATE / 25, RATE) if up else (RATE, RATE / 25 / 1e4)
    part = iteration / top if up else (iteration - top) / (last - top)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def test_a_one_cycle_schedule_ends_with_the_stage():
    rates = list(Stage({**STEP, "schedule": {"kind": "one-cycle"}}).epochs(0, EPOCHS))
    assert rates == pytest.approx([one_cycle(i) for i in range(ITERATIONS * EPOCHS)], rel=1e-6)


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
