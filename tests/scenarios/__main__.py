"""``python -m tests.scenarios SEED`` replays a scenario, ``FIRST COUNT`` plays many, ``FIRST COUNT STEP`` some of more.

A failure tells its story.

With ``--mutation NAME`` a deliberate bug is put in (see `mutation`), and the first scenario that finds it ends the run.
"""

import argparse
import faulthandler
import sys
import time

import structlog

from .mutation import MUTATIONS
from .run import again, run
from .world import Violation

STUCK_SECONDS = 120


def main(seeds: range, mutation: str) -> int:
    """Play scenarios; return 1 if one failed."""
    began, failed = time.perf_counter(), 0
    for seed in seeds:
        # A scenario that goes round in circles in one moment would say nothing at all.
        faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
        try:
            world = run(seed)
        except Violation as violation:
            failed += 1
            print(f"seed {seed}: {violation}\nagain: {again(seed, mutation)}\n")
            if mutation:
                break
            continue
        if len(seeds) == 1:
            print("\n".join(world.story))
    seconds, count = time.perf_counter() - began, len(seeds)
    print(f"{count} scenarios, {failed} failed, {seconds:.1f} s ({seconds / count * 1000:.0f} ms each)")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios")
    parser.add_argument("first", type=int, help="the first seed")
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many seeds from there")
    parser.add_argument("step", type=int, nargs="?", default=1, help="the distance from one to the next")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), default="", help="a deliberate bug to be found")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seeds = range(given.first, given.first + given.count * given.step, given.step)
    if given.mutation:
        with MUTATIONS[given.mutation].put_in():
            sys.exit(main(seeds, given.mutation))
    sys.exit(main(seeds, ""))
