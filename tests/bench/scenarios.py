"""How fast virtual time passes: ``python -m tests.bench.scenarios``; the result is kept in docs/performance.md.

Both on one core: scenarios as `make test` plays them, and one quiet day of twenty objects that are polled each 30 s.
"""

import time
from typing import Final

import structlog

from tests.scenarios.day import Day, day
from tests.scenarios.run import run

SCENARIOS: Final = 100


def main() -> None:
    """Measure, and print lines for the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began = time.process_time()
    virtual = sum(run(seed).lasted for seed in range(SCENARIOS))
    seconds = time.process_time() - began
    print(
        f"| {SCENARIOS} scenarios | {seconds / SCENARIOS:.2f} s each, {virtual / 3600 / seconds:.1f} virtual hours/s |"
    )
    began = time.process_time()
    lasted: Day = day(objects=20, interval=30)
    seconds = time.process_time() - began
    print(f"| a day of 20 objects, 30 s | {seconds:.1f} s, {24 / seconds:.1f} virtual hours/s |")
    print(f"| … questions, writes after the first minute | {lasted.questions}, {lasted.writes} |")


if __name__ == "__main__":
    main()
