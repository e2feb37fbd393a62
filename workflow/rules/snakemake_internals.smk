"""What this workflow takes from the inside of Snakemake, where it has no public way. All of it is in this file.

Written for Snakemake 9.27; ``tests/test_snakemake_internals.py`` fails where another version has changed it.
"""


def not_compared(param):
    """A param of a job that reruns nothing when it changes. Args: a function of wildcards and threads.

    Snakemake does not compare params that depend on threads, because threads are those of the machine.
    """
    return lambda wildcards, threads: param(wildcards, threads)


def run_again(path):
    """Run the job that makes this file, whatever Snakemake remembers of it. ``--forcerun`` is for people only."""
    workflow.dag.forcefiles.add(path)


def jobs_to_run():
    """The jobs of this run."""
    return list(workflow.dag.needrun_jobs())


def gpus_for_jobs(visible):
    """How many GPUs jobs may use together; None without a limit, as on a cluster.

    Args: ``visible``, gives how many this machine has, which is the limit here if the user sets none. Snakemake
    counts resources only if the command line names them (``--resources gpu=...``).
    """
    if workflow.local_exec and "gpu" not in workflow.global_resources:
        limit = visible()
        workflow.register_resource("gpu", limit)
        workflow.scheduler.global_resources["gpu"] = limit  # which register_resource leaves out
    return workflow.scheduler.global_resources.get("gpu")


def restart_unless(final):
    """Let jobs that fail start again as ``retries`` says, but not for a final failure.

    ``retries`` is a number, whatever has failed: while a final failure is handled, it is 0. A job that failed at once
    each time it starts would do in its place on one machine, but on a cluster each start may wait in a queue for days.

    Args: ``final``, gives what is to be said of the failure of a job, or None if it may start again.
    """
    handle = workflow.scheduler._handle_error

    def handle_error(job, **options):
        said = None if job.is_group() else final(job)
        if not said:
            return handle(job, **options)
        logger.error(said)
        allowed, job.rule.restart_times = job.rule.restart_times, 0
        handle(job, **options)
        job.rule.restart_times = allowed

    workflow.scheduler._handle_error = handle_error


def terminal_handlers():
    """The handlers of Snakemake's log that write to the terminal: no plugin of a user, and not the log file.

    A logger plugin of our own would have to be installed and named on each command line, and is not told which jobs
    start on a cluster.
    """
    return [handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"]
