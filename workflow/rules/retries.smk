"""Which failed jobs start again (``retries``): stages, as often as allowed; other jobs a few times."""

from mtpd.job import failures

MOST_STARTS = 3  # of a job that does not resume: a job that failed three times would fail again


def final_failure(job):
    """What to say of a job that would fail again, or None.

    A stage has written why its failure is final; of other jobs, it counts how often they have started.
    """
    if job.rule.name != "train_stage":
        why = f"it has failed {job.attempt} times" if job.attempt >= MOST_STARTS else None
    else:
        said = Path(folders.work(str(Path(job.output[0]).parent)), failures.FINAL)
        why = said.read_text(encoding="utf-8").strip() if said.exists() else None
    return (
        f"{job.output[0]}: {why}\nThis failure is final: the job does not start again by itself."
        if why
        else None
    )


def do_not_retry_what_is_final():
    """What stages said in an earlier run does not count: the reason may have been removed since."""
    for work in Path().glob(folders.work(layout.stage("*", "*", "*", "*"))):
        failures.forget(work)
    restart_unless(final_failure)
