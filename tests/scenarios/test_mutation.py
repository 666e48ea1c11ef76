"""The scenarios find bugs: each deliberate one, and as the violation of the rule that it breaks."""

import re
import subprocess
import sys

import pytest

from .mutation import MUTATIONS
from .test_scenarios import SEEDS


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_is_found_and_named(name: str) -> None:
    mutation = MUTATIONS[name]
    seeds = [str(number) for number in (mutation.first, mutation.seeds, mutation.step)]
    command = [sys.executable, "-m", "tests.scenarios", *seeds, "--mutation", name]
    played = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.match(r"seed (\d+): ([^:]+):", played.stdout)
    assert found is not None, f"{name} survived {mutation.seeds} scenarios\n{played.stdout}{played.stderr}"
    assert int(found[1]) < SEEDS
    assert found[2] in mutation.rules, played.stdout
