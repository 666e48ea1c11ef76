"""Trigger types from entry points: found, imported on first use, checked, and clear about what is missing."""

import sys
from importlib.metadata import EntryPoint

import pytest

from keda_py.engine.registry import Registry, RegistryError
from keda_py.scaler import ENTRY_POINTS, Scaler, ScalerError


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINTS)


def test_every_installed_type_can_be_loaded() -> None:
    registry = Registry.installed()
    assert {"cpu", "cron", "kubernetes-workload", "memory"} <= set(registry.types)
    for name in registry.types:
        assert issubclass(registry.load(name), Scaler)


def test_two_claims_on_one_type_are_an_error_that_names_both() -> None:
    with pytest.raises(RegistryError, match=r"cron is claimed by .*\(a:B\) and .*\(c:D\)"):
        Registry([entry("cron", "a:B"), entry("cron", "c:D")])


def test_the_same_claim_seen_twice_is_none() -> None:
    assert Registry([entry("cron", "a:B"), entry("cron", "a:B")]).types == ["cron"]


def test_nothing_is_imported_before_it_is_used() -> None:
    name = "wave"  # a module of the standard library that nothing here imports
    sys.modules.pop(name, None)
    registry = Registry([entry("x", f"{name}:Error")])
    assert name not in sys.modules
    with pytest.raises(ScalerError, match="is not a scaler class"):
        registry.load("x")


@pytest.mark.parametrize(
    ("asked", "value", "says"),
    [
        ("corn", "keda_py.scaler:Scaler", "did you mean cron"),
        ("zzz", "keda_py.scaler:Scaler", "known are cron"),
        ("cron", "no_such_library.scaler:X", "needs the Python module no_such_library"),
        ("cron", "keda_py.scaler:Nothing", "cannot be imported"),
    ],
)
def test_what_is_missing_is_named(asked: str, value: str, says: str) -> None:
    with pytest.raises(ScalerError, match=says):
        Registry([entry("cron", value)]).load(asked)
