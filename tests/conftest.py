"""How tests are shared out over processes: a file's go to one, which starts its servers once; scenarios need none."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

FREE = "tests/scenarios/"


class Scheduling(LoadFileScheduling):
    """By file, but scenarios one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(FREE) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Return what shares out the tests (a hook of pytest-xdist)."""
    return Scheduling(config, log)
