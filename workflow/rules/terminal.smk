"""What the terminal shows: a line when a job starts, a line when it ends. `.snakemake/log` keeps all details.

Snakemake's own means do not suffice: `--quiet rules` also hides errors, `message:` hides the files from dry runs and
logs, and both leave several lines for each job. With `--verbose` or `--quiet ...`, all is as Snakemake does it.
"""

import logging
import time

from snakemake_interface_logger_plugins.common import LogEvent

from mtpd.job import interruption
from mtpd.job.progress import duration
from mtpd.plan import status, status_text

TIME_LEFT_SECONDS = 60  # between two lines with the time left of all stages
NOT_SHOWN = {LogEvent.WORKFLOW_STARTED, LogEvent.JOB_INFO, LogEvent.JOB_FINISHED, LogEvent.RESOURCES_INFO}
ALSO_NOT_SHOWN = {
    "Select jobs to execute...",
    "DAG of jobs will be updated after completion.",
    "Conda environments: ignored",
    "Singularity containers: ignored",
}


def in_words(job):
    """What a job does."""
    names = job.wildcards_dict
    if job.rule.name == "train_stage":
        return chains.in_words(names["student"], names["recipe"], names["chain"], names["seed"])
    others = [str(value) for name, value in names.items() if name not in ("dataset", "experiment")]
    return " ".join([job.rule.name, *others])


class OneLine(logging.Formatter):
    """Snakemake's formatter, but for jobs that start (on a cluster: that are submitted) and that end."""

    def __init__(self, usual):
        super().__init__()
        self.usual, self.jobs, self.ended = usual, {}, None
        self.training, self.told = set(), -TIME_LEFT_SECONDS  # jobs that train; when the time left was told
        self.interruption = interruption.Interruption()

    def keep(self, record):
        """Whether to show a record; called for each one before ``format``."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_FINISHED:
            self.ended = record.job_id  # its line comes with the progress, which is logged next
        return event not in NOT_SHOWN and record.msg not in ALSO_NOT_SHOWN

    def format(self, record):
        event = getattr(record, "event", None)
        error = getattr(record, "exception", None)
        instead = self.interruption.instead_of(record.msg, event, error)
        if instead is not None:
            return instead
        if event == LogEvent.JOB_STARTED:  # of every executor; the one for Slurm logs no JOB_INFO
            return self.start(record.jobs)
        if event == LogEvent.PROGRESS and self.ended in self.jobs:
            job, started = self.jobs[self.ended]
            took = duration(time.monotonic() - started)
            now = time.strftime("%H:%M:%S")
            return f"{now} done:  {job}, in {took} ({record.done} of {record.total} jobs){self.time_left()}"
        return self.usual.format(record)

    def start(self, numbers):
        names = dict.fromkeys(numbers, "jobs of a group")
        started = [job for job in jobs_to_run() if job.jobid in names]
        names |= {job.jobid: in_words(job) for job in started}
        self.training |= {job.jobid for job in started if job.rule.name == "train_stage"}
        self.jobs |= {number: (names[number], time.monotonic()) for number in numbers}
        return "\n".join(f"{time.strftime('%H:%M:%S')} start: {names[number]}" for number in numbers)

    def time_left(self):
        """A line when a stage has ended, but not twice within a minute: every stage's files are looked at."""
        if self.ended not in self.training or time.monotonic() - self.told < TIME_LEFT_SECONDS:
            return ""
        left = status_text.time_left(*status.now(experiment, layout), free=1)
        if not left:
            return ""
        self.told = time.monotonic()
        return f"\n{time.strftime('%H:%M:%S')} {left}"


def quieten_terminal():
    for handler in terminal_handlers():
        one_line = OneLine(handler.formatter)
        handler.setFormatter(one_line)
        handler.addFilter(one_line.keep)


def without_traceback(kind, error, trace):
    """After Ctrl-C before the first job, the last line is not a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print(interruption.INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def is_module():
    """Whether another workflow includes this one; its terminal is left alone."""
    return not Path(workflow.main_snakefile).resolve().is_relative_to(PROJECT.resolve())


asked = workflow.output_settings
if workflow.is_main_process and not (asked.dryrun or asked.verbose or asked.quiet or is_module()):
    quieten_terminal()
    sys.excepthook = without_traceback
