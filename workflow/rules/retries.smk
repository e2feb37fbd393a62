"""Which failed jobs start again (``retries``): all but stages whose failure is final."""

from mtpd.training import failures


def final_failure(job):
    """What a stage has said of its failure, if it would fail again."""
    for path in job.output:
        said = Path(folders.work(str(Path(path).parent)), failures.FINAL)
        if said.exists():
            return said.read_text().strip()
    return None


def do_not_retry_what_is_final():
    """Snakemake has a limit for how often a job starts again, but none for what has failed: set it to 0."""
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
