"""The first scenarios of all, and that a scenario is the same one each time."""

import subprocess
import sys

import pytest

from .day import day
from .run import again, run
from .world import Violation

SEEDS = 2000
CHUNK = 20


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_happens_all_rules_hold_and_everything_comes_right(first: int) -> None:
    for seed in range(first, first + CHUNK):
        try:
            run(seed)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}\nagain: {again(seed)}", pytrace=False)


@pytest.mark.e2e
def test_a_quiet_world_is_read_and_never_written() -> None:
    hours = 2
    quiet = day(objects=20, busy=0, interval=30, seconds=hours * 3600)
    assert quiet.writes == 0
    assert quiet.questions == 20 * hours * 120


@pytest.mark.e2e
def test_a_steady_world_is_read_and_never_written() -> None:
    hours = 2
    steady = day(objects=20, busy=10, interval=30, seconds=hours * 3600)
    assert steady.writes == 0
    # The HPA's looks are partly served by polls, and the other way round.
    polls, looks = 20 * hours * 120, 10 * hours * 240
    assert polls <= steady.questions < polls + looks


@pytest.mark.e2e
def test_a_seed_tells_the_same_story_in_any_process() -> None:
    # Processes differ in where objects lie in memory, and in how strings are hashed.
    stories = {_story(3, hashing) for hashing in ("0", "1", "2")}
    assert len(stories) == 1


def _story(seed: int, hashing: str) -> str:
    command = [sys.executable, "-m", "tests.scenarios", str(seed)]
    played = subprocess.run(command, env={"PYTHONHASHSEED": hashing}, capture_output=True, text=True, check=True)
    story = played.stdout.splitlines()[:-1]
    assert len(story) > 10
    return "\n".join(story)
