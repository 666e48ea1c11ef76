"""How fast virtual time passes: ``python -m tests.bench.scenarios``; the result is kept in docs/performance.md.

On one core: scenarios as `make test` plays them, and whole days of twenty objects that are polled each 30 s.
"""

import time
from typing import Final

import structlog

from tests.scenarios.day import day
from tests.scenarios.run import run

SCENARIOS: Final = 100
OBJECTS: Final = 20
INTERVAL: Final = 30


def main() -> None:
    """Measure, and print lines for the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began = time.process_time()
    virtual = sum(run(seed).lasted for seed in range(SCENARIOS))
    seconds = time.process_time() - began
    print(f"| a scenario, of {SCENARIOS} | {seconds / SCENARIOS:.2f} s | {virtual / 3600 / seconds:.1f} | | |")
    for busy in (0, OBJECTS // 2):
        began = time.process_time()
        lasted = day(objects=OBJECTS, busy=busy, interval=INTERVAL)
        seconds = time.process_time() - began
        what = f"a day of {OBJECTS} objects, {INTERVAL} s, {busy} with an HPA at work"
        print(f"| {what} | {seconds:.1f} s | {24 / seconds:.1f} | {lasted.questions} | {lasted.writes} |")


if __name__ == "__main__":
    main()
