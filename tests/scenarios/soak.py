"""Plays as many scenarios as wanted, on all cores: ``python -m tests.scenarios.soak SEEDS [FIRST]``.

It ends with the first chunk of seeds in which one fails, and prints the command that plays that one again.
"""

import multiprocessing
import os
import sys
import time
from typing import Final

import structlog

from .run import again, run
from .world import Violation

CHUNK: Final = 50
REPORT_SECONDS: Final = 30.0


def play(first: int) -> tuple[float, list[str]]:
    """Play a chunk of scenarios; return how many virtual seconds it was, and what failed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seconds, failed = 0.0, []
    for seed in range(first, first + CHUNK):
        try:
            seconds += run(seed).lasted
        except Violation as violation:
            failed.append(f"seed {seed}: {violation}\nagain: {again(seed)}\n")
    return seconds, failed


def main(count: int, first: int) -> int:
    """Play scenarios; return 1 if one failed."""
    began = told = time.perf_counter()
    played, virtual = 0, 0.0
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for seconds, failed in pool.imap_unordered(play, range(first, first + count, CHUNK)):
            played, virtual = played + CHUNK, virtual + seconds
            if failed:
                print("\n".join(failed))
                return 1
            passed = time.perf_counter() - began
            if time.perf_counter() - told > REPORT_SECONDS or played >= count:
                told = time.perf_counter()
                rate = f"{played / passed:.1f} scenarios/s, {virtual / 3600 / passed:.1f} virtual hours/s"
                print(f"{played} of {count} scenarios, none failed, {rate}", flush=True)
    return 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(numbers[0], numbers[1] if len(numbers) > 1 else 0))
