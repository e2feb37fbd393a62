"""Run all benchmarks, or those named, and print their table: python -m benchmarks [--small] [NAME ...]

With --small, each runs once at the smallest size: to see that it runs. Its numbers mean nothing.
"""

import argparse
import importlib
import logging
import platform
import time
import warnings

import torch

ROWS = (
    "distillation_step",
    "adaptation_cost",
    "data_loading",
    "import_images",
    "import_coco",
    "other_ways",
    "planning",
    "stage_start",
)


def main(words: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args(words)
    if unknown := set(given.names) - set(ROWS):
        parser.error(f"no such benchmark: {', '.join(unknown)}; expected some of {', '.join(ROWS)}")
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # mmengine's, of how it initialises weights
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread\n"
    )
    print("| what | against | median | range | aim |\n|---|---|---|---|---|", flush=True)
    started = time.monotonic()
    for name in given.names or ROWS:
        for row in importlib.import_module(f"benchmarks.{name}").measure(given.small):
            print(row, flush=True)
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
