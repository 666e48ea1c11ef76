"""Which events are CloudEvents, what they are about, and who wants them."""

from typing import get_args

import pytest

from keda_py.api.cloud_event_source import EventSubscription, EventType
from keda_py.decide.cloud_event import TYPES, source, subject, wanted
from keda_py.naming import EventReason


def test_every_type_that_can_be_subscribed_to_has_a_reason() -> None:
    assert set(TYPES.values()) == set(get_args(EventType))
    assert len(get_args(EventType)) == 19
    # What is made by triggers and targets is not among them.
    assert EventReason.SCALER_FAILED not in TYPES
    assert EventReason.ACTIVATED not in TYPES


@pytest.mark.parametrize(
    ("subscription", "ready", "failed"),
    [
        (None, True, True),
        ({}, True, True),
        ({"includedEventTypes": ["keda.scaledobject.ready.v1"]}, True, False),
        ({"excludedEventTypes": ["keda.scaledobject.ready.v1"]}, False, True),
    ],
)
def test_who_wants_what(subscription: dict[str, list[str]] | None, ready: bool, failed: bool) -> None:
    given = None if subscription is None else EventSubscription.model_validate(subscription)
    assert wanted(given, "keda.scaledobject.ready.v1") is ready
    assert wanted(given, "keda.scaledobject.failed.v1") is failed


def test_names_are_kedas() -> None:
    about = {"kind": "ScaledObject", "metadata": {"namespace": "shop", "name": "Orders"}}
    of_cluster = {"kind": "ClusterTriggerAuthentication", "metadata": {"name": "auth"}}
    assert source("prod", "keda") == "/prod/keda/keda"
    assert subject("prod", about) == "/prod/shop/scaledobject/orders"
    assert subject("prod", of_cluster) == "/prod//clustertriggerauthentication/auth"
