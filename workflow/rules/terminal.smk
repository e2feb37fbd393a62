"""What the terminal shows: a line when a job starts, a line when it ends. `.snakemake/log` keeps all details.

Snakemake's own means do not suffice: `--quiet rules` also hides errors, `message:` hides the files from dry runs and
logs, and both leave several lines for each job. With `--verbose` or `--quiet ...`, all is as Snakemake does it.
"""

import logging
import time

from snakemake_interface_logger_plugins.common import LogEvent

from mtpd.training.progress import duration

NOT_SHOWN = {LogEvent.WORKFLOW_STARTED, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.RESOURCES_INFO}
ALSO_NOT_SHOWN = {
    "Select jobs to execute...",
    "DAG of jobs will be updated after completion.",
    "Conda environments: ignored",
}


def in_words(record):
    """What a job does."""
    names = record.wildcards
    if record.rule_name == "train_stage":
        return chains.in_words(names["student"], names["recipe"], names["chain"], names["seed"])
    others = [str(value) for name, value in names.items() if name not in ("dataset", "experiment")]
    return " ".join([record.rule_name, *others])


class OneLine(logging.Formatter):
    """Snakemake's formatter, but for jobs that start and end."""

    def __init__(self, usual):
        super().__init__()
        self.usual, self.jobs, self.ended = usual, {}, None

    def keep(self, record):
        """Whether to show a record; called for each one before ``format``."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_FINISHED:
            self.ended = record.job_id  # its line comes with the progress, which is logged next
        return event not in NOT_SHOWN and record.msg not in ALSO_NOT_SHOWN

    def format(self, record):
        now = time.strftime("%H:%M:%S")
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.jobs[record.jobid] = in_words(record), time.monotonic()
            return f"{now} start: {self.jobs[record.jobid][0]}"
        if event == LogEvent.PROGRESS:
            job, started = self.jobs[self.ended]
            took = duration(time.monotonic() - started)
            return f"{now} done:  {job}, in {took} ({record.done} of {record.total} jobs)"
        return self.usual.format(record)


def quieten_terminal():
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":  # not a user's plugin, and not the log file
            one_line = OneLine(handler.formatter)
            handler.setFormatter(one_line)
            handler.addFilter(one_line.keep)


def is_module():
    """Whether another workflow includes this one; its terminal is left alone."""
    return not Path(workflow.main_snakefile).resolve().is_relative_to(PROJECT.resolve())


asked = workflow.output_settings
if workflow.is_main_process and not (asked.dryrun or asked.verbose or asked.quiet or is_module()):
    quieten_terminal()
