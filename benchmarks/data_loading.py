"""Steps with data loaded from disk against the same steps on a batch in memory, in the same stage.

CPU time of the process that trains: with enough cores, data loaders work meanwhile.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

from benchmarks import pairing, stages
from mtpd.training.settings import Stage
from mtpd.training.stage import train
from mtpd.training.steps import StepLoop


class Measured(Exception):
    """Ends the stage."""


def measure(small: bool = False):
    for workers in (0, 1):
        ratios = measured(workers, *((1, 0, 8) if small else (4, 10, 200)))
        loaders = f"{workers} data {'loader' if workers == 1 else 'loaders'}"
        what = f"step of the demo's pair with data from disk, batch of 4, {loaders}"
        yield pairing.Row(what, "the step on a batch in memory", ratios, "1.05" if workers else "")


def measured(workers: int, count: int, rounds: int, images: int) -> list[float]:
    """In turns: ``count`` steps with data from disk, as many with one batch again and again."""
    ratios = []

    def run_epoch(loop):
        loop.runner.call_hook("before_train_epoch")
        batches = iter(loop.dataloader)
        kept = next(batches)

        def steps(get):
            for number in range(count):
                loop.run_iter(number, get())

        ratios.extend(
            pairing.side_by_side(
                lambda: pairing.cpu_seconds(lambda: steps(lambda: next(batches))),
                lambda: pairing.cpu_seconds(lambda: steps(lambda: copy.deepcopy(kept))),
                rounds,
            )
        )
        raise Measured

    usual, StepLoop.run_epoch = StepLoop.run_epoch, run_epoch
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            weights = str(stages.TEACHER)
            stage = Stage(
                **stages.spec(folder, images, images // 2),
                teacher_weights=(weights,),
                inherited_weights=weights,
                workers=workers,
            )
            train(stage, folder / "out", folder / "work", str(folder / "said"))
    except Measured:
        return ratios
    finally:
        StepLoop.run_epoch = usual
