"""Real Snakemake without its start: imported once, and a fork of this process for each run.

A line of JSON comes in for a run; its exit status goes out.
"""

import json
import os
import sys

from snakemake.cli import main


def run(command, folder, environment, stdout, stderr):
    """A run, in a process of its own. Args: ``environment``, variables; two files for what it says."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate((os.devnull, stdout, stderr)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), number)
    sys.argv = command
    main()


for line in sys.stdin:
    process = os.fork()
    if not process:
        run(**json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
