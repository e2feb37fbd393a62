"""Run a script in several processes on this machine; ends with the status of the first that fails."""

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

count, *script = sys.argv[1:]
try:
    run.main(["--standalone", "--nproc-per-node", count, *script])
except ChildFailedError as error:
    _, failure = error.get_first_failure()
    sys.exit(failure.exitcode)
