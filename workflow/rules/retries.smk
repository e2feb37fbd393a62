"""Which failed jobs start again (``retries``): stages, as often as allowed; other jobs a few times."""

from mtpd.job import failures

MOST_STARTS = 3  # of a job that does not resume: a job that failed three times would fail again


def final_failure(job):
    """Why a job would fail again: what a stage has said of its failure, or how often another has started."""
    if job.rule.name != "train_stage":
        return f"it has failed {job.attempt} times" if job.attempt >= MOST_STARTS else None
    for path in job.output:
        said = Path(folders.work(str(Path(path).parent)), failures.FINAL)
        if said.exists():
            return said.read_text(encoding="utf-8").strip()
    return None


def do_not_retry_what_is_final():
    """Snakemake has a limit for how often a job starts again, but none for what has failed: set it to 0.

    What stages said in an earlier run does not count: the reason may have been removed since.
    """
    for work in Path().glob(folders.work(layout.stage("*", "*", "*", "*"))):
        failures.forget(work)
    handle = workflow.scheduler._handle_error

    def handle_error(job, **options):
        said = None if job.is_group() else final_failure(job)
        if not said:
            return handle(job, **options)
        logger.error(
            f"{job.output[0]}: {said}\nThis failure is final: the job does not start again by itself."
        )
        allowed, job.rule.restart_times = job.rule.restart_times, 0
        handle(job, **options)
        job.rule.restart_times = allowed

    workflow.scheduler._handle_error = handle_error
