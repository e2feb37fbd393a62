"""What ``workflow/rules/snakemake_internals.smk`` takes from the inside of Snakemake is still there.

That it works is tested where it is used: ``test_failures.py``, ``test_old_results.py``, ``test_progress.py``.
A new version of Snakemake fails here first: compare its code with that file, then change the version there.
"""

import inspect
import re
from importlib.metadata import version

import pytest
from conftest import PROJECT
from snakemake import api, dag, logging, rules, workflow
from snakemake.scheduling import job_scheduler

assert api  # whose import has to come first: Snakemake's modules import each other
RULES = PROJECT / "workflow/rules"
INTERNALS = RULES / "snakemake_internals.smk"


def test_it_is_written_for_this_version():
    (written_for,) = re.findall(r"Written for Snakemake (\d+\.\d+);", INTERNALS.read_text())
    assert version("snakemake").startswith(f"{written_for}.")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (rules, 'or "threads" in func_params'),  # then a param is not compared
        (dag.DAG.__init__, "self.forcefiles = set()"),
        (dag.DAG.needrun_jobs, "self._needrun"),
        (workflow.Workflow.register_resource, "self.scheduler.resources[name] = value"),
        (job_scheduler.JobScheduler._handle_error, "if job.restart_times > job.attempt - 1:"),
        (job_scheduler.JobScheduler, "self._handle_error(job, postprocess_job=False)"),
        (logging, 'name = "DefaultStreamHandler"'),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_snakemake_has_it(code, expected):
    assert expected in inspect.getsource(code)


def test_no_other_rule_uses_private_names_of_snakemake():
    private = re.compile(
        r"\b(workflow|logger|job|rule)\.(\w+\.)*_\w+|\.(forcefiles|needrun_jobs|restart_times)\b"
    )
    others = [path for path in RULES.glob("*.smk") if path != INTERNALS]
    assert {path.name: found[0] for path in others if (found := private.search(path.read_text()))} == {}
