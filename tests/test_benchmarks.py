"""Each benchmark runs, in its smallest form. What it measures there means nothing."""

import contextlib
import functools
import io
import logging
import math
import os
import re
import sys

import pandas as pd
import pytest
import torch
from conftest import PROJECT

from benchmarks import __main__ as benchmarks
from benchmarks import pairing, profile
from mtpd.distill.losses import LOSSES

# A row of the table: what, against what, the median with its unit, the range, the aim.
ROW = re.compile(r"^\| .+ \| .+ \| (-?[\d.e+-]+)(?: \w+)? \| .* \| .* \|$", re.MULTILINE)
NUMBER = {
    "distillation_step": 3 * len(LOSSES),
    "adaptation_cost": 3,
    "data_loading": 2,
    "import_images": 2,
    "import_coco": 2,
    "other_ways": 2,
    "planning": 3,
    "stage_start": 1,
}
SLOW = ("planning", "stage_start")  # they start processes


@pytest.fixture(scope="module")
def measured():
    """What a benchmark prints in its smallest form; each runs once."""

    @functools.cache
    def said(name):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            benchmarks.main(["--small", name])
        return printed.getvalue()

    yield said
    logging.disable(logging.NOTSET)  # benchmarks turn mmengine's warnings off


def test_every_benchmark_is_tested():
    assert list(NUMBER) == list(benchmarks.ROWS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NUMBER]
)
def test_a_benchmark_prints_its_rows(name, measured):
    said = measured(name)
    medians = [float(median) for median in ROW.findall(said)]
    assert len(medians) == NUMBER[name], said
    assert all(map(math.isfinite, medians))


def test_a_name_that_is_no_benchmark_is_told(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["planing"])
    assert "no such benchmark: planing; expected some of distillation_step" in capsys.readouterr().err


def test_the_first_round_counts_only_alone():
    numbers = iter(range(10))
    assert pairing.in_rounds(lambda: next(numbers), 3) == [1, 2, 3]
    assert pairing.in_rounds(lambda: next(numbers), 0) == [4]


def stand_in(folder, monkeypatch, **programs):
    """Programs that come before those of the machine."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_what_a_step_runs_is_counted():
    x, y = torch.ones(3, 4, requires_grad=True), torch.ones(4, 5)
    assert pairing.operators(lambda: x.mm(y)) == (1, 12 + 20)
    forward = pairing.operators(lambda: x.mm(y).sum())
    both = pairing.operators(lambda: x.mm(y).sum().backward())
    assert forward == (2, 12 + 20 + 15)
    assert both[0] > 3 and both[1] >= forward[1] + 15 + 20  # the gradient of x is a product, too


def test_a_step_runs_no_more_than_its_parts(measured):
    """Counted, so it can be asked of a busy machine."""
    rows = [line for line in measured("distillation_step").splitlines() if "in its parts" in line]
    assert len(rows) == 2 * len(LOSSES)
    assert all(float(line.split(" | ")[2]) <= 1 for line in rows), rows


@pytest.mark.slow
def test_the_picture_of_where_time_goes(tmp_path, monkeypatch):
    """The marks of all phases are found in stacks."""
    watch = f'exec {sys.executable} {PROJECT}/tests/sampling.py "$@"'
    stand_in(tmp_path, monkeypatch, **{"py-spy": watch})
    profile.main(str(tmp_path / "picture.svg"), "--small")
    assert (tmp_path / "picture.svg").exists()
    phases, stage, step = zip(*pd.read_csv(tmp_path / "picture.csv").itertuples(index=False), strict=True)
    assert phases == tuple(profile.PHASES)
    assert sum(stage) == pytest.approx(100) and sum(step) == pytest.approx(100)
    seen = {name for name, share in zip(phases, stage, strict=True) if share}
    assert {*phases} - seen <= {"distillation loss", "optimiser"}  # too short to be seen each time
