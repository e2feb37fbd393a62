"""Run a command on GPUs that no other job of this user on this machine uses; wait until enough are free."""

import os
import sys

from mtpd import gpus

count, *command = sys.argv[1:]
os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.take(int(count)))
os.execvp(command[0], command)
