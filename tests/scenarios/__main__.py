"""``python -m tests.scenarios SEED`` replays a scenario, ``FIRST COUNT`` plays many; a failure tells its story."""

import faulthandler
import sys
import time

import structlog

from .run import run
from .world import Violation


def main(first: int, count: int) -> int:
    """Play scenarios; return 1 if one failed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began, failed = time.perf_counter(), 0
    for seed in range(first, first + count):
        # A scenario that goes round in circles in one moment would say nothing at all.
        faulthandler.dump_traceback_later(20, exit=True)
        try:
            world = run(seed)
        except Violation as violation:
            failed += 1
            print(f"seed {seed}: {violation}\nagain: PYTHONHASHSEED=0 python -m tests.scenarios {seed}\n")
            continue
        if count == 1:
            print("\n".join(world.story))
    seconds = time.perf_counter() - began
    print(f"{count} scenarios, {failed} failed, {seconds:.1f} s ({seconds / count * 1000:.0f} ms each)")
    return 1 if failed else 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(numbers[0], numbers[1] if len(numbers) > 1 else 1))
