"""Run all benchmarks, or those named, and print their table: python -m benchmarks [NAME ...]"""

import importlib
import logging
import platform
import sys
import time
import warnings

import torch

ROWS = ("distillation_step", "adaptation_cost", "data_loading", "other_ways", "planning", "stage_start")


def main():
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # mmengine's, of how it initialises weights
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread\n"
    )
    print("| what | against | median | range | aim |\n|---|---|---|---|---|", flush=True)
    started = time.monotonic()
    for name in sys.argv[1:] or ROWS:
        if name not in ROWS:
            sys.exit(f"{name}: no such benchmark; expected one of {', '.join(ROWS)}")
        for row in importlib.import_module(f"benchmarks.{name}").measure():
            print(row, flush=True)
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")


main()
