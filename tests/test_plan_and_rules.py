"""The plan, which makes no use of Snakemake, has the stages that Snakemake's rules train.

``tests/test_paper_files.py`` compares them for the experiments of ``config/paper``.
"""

import pytest
from conftest import PROJECT
from snakes import TINY, dry_run, stages_of, stages_of_plan

from mtpd.experiment.reading import read_file


@pytest.mark.parametrize("config", [PROJECT / "config/config.yaml", TINY], ids=["demo", "tiny"])
def test_the_plan_has_the_stages_of_a_dry_run(config, tmp_path):
    stages = stages_of(dry_run(tmp_path, config))
    assert stages == stages_of_plan(read_file(config, PROJECT))
    assert any(len(read) > 1 for read in stages.values())  # teachers, and students of stages before
