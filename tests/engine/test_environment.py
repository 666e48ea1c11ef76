"""The environment of a container: KEDA's facts (scale_resolvers_test.go) and the kubelet's, in tables."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keda_py.api.pod import PodSpec
from keda_py.engine.credentials.environment import LONGEST, container_of, expand, variables
from keda_py.engine.credentials.lookup import Reading, Unread
from keda_py.scaler import ScalerError

from .knowing import UNREAD, Known, Objects

SECRET: Objects = {("Secret", "ns", "s"): {"key": "hush", "other": "x"}}
CONFIG: Objects = {("ConfigMap", "ns", "c"): {"key": "plain", "host": "db"}}


def resolved(container: dict[str, Any], *wanted: str, objects: Objects | None = None) -> dict[str, str]:
    known = Known(SECRET | CONFIG if objects is None else objects)
    reading = Reading(known)
    pod = PodSpec.model_validate({"containers": [{"name": "web", **container}]})
    found = variables(container_of(pod, ""), wanted, "ns", reading=reading)
    reading.finish()
    return found


def entry(
    name: str, value: str | None = None, *, secret: Any = None, config: Any = None, **rest: Any
) -> dict[str, Any]:
    if value is not None:
        return {"name": name, "value": value}
    kind, ref = ("secretKeyRef", secret) if secret else ("configMapKeyRef", config)
    return {"name": name, "valueFrom": {kind: {"name": ref[0], "key": ref[1], **rest}} if ref else rest}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-x", "a-x"),
        ("x-$(A)", "x-a"),
        ("$(A)$(B)", "ab"),
        ("$$(A)-x", "$(A)-x"),
        ("$()-x", "$()-x"),
        ("$(A-x", "$(A-x"),
        ("$(NONE)", "$(NONE)"),
        ("$A", "$A"),
        ("a$", "a$"),
        ("a$$", "a$"),
        ("$$$$", "$$"),
        ("$$$(A)", "$a"),
        ("$é$(A)", "$éa"),
        ("$(a b)", "spaced"),
        ("", ""),
        ("$\n$(A)", "$\na"),
    ],
)
def test_references_are_replaced_as_the_kubelet_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "a", "B": "b", "a b": "spaced"}) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="$()AB x", max_size=40))
def test_what_has_no_reference_to_what_is_known_changes_only_by_its_escapes(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "a"}) == text
    assert len(expand(text, {})) <= len(text)


CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("a value", {"env": [entry("V", "x")]}, {"V": "x"}),
    ("an empty value", {"env": [{"name": "V"}]}, {"V": ""}),
    ("a reference back", {"env": [entry("A", "a"), entry("V", "$(A)b")]}, {"V": "ab"}),
    ("a reference forward stays as it is", {"env": [entry("V", "$(A)b"), entry("A", "a")]}, {"V": "$(A)b"}),
    ("the last one wins", {"env": [entry("V", "1"), entry("V", "2")]}, {"V": "2"}),
    ("over itself", {"env": [entry("V", "1"), entry("V", "$(V)2")]}, {"V": "12"}),
    ("a key of a Secret", {"env": [entry("V", secret=("s", "key"))]}, {"V": "hush"}),
    ("a key of a ConfigMap", {"env": [entry("V", config=("c", "key"))]}, {"V": "plain"}),
    ("a reference to a key", {"env": [entry("A", secret=("s", "key")), entry("V", "u:$(A)")]}, {"V": "u:hush"}),
    ("all of a Secret", {"envFrom": [{"secretRef": {"name": "s"}}]}, {"key": "hush"}),
    ("all of a ConfigMap", {"envFrom": [{"configMapRef": {"name": "c"}}]}, {"key": "plain"}),
    ("with a prefix", {"envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}]}, {"P_key": "hush"}),
    (
        "a later source wins",
        {"envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}]},
        {"key": "plain"},
    ),
    (
        "env wins over envFrom",
        {"envFrom": [{"secretRef": {"name": "s"}}], "env": [entry("key", "mine")]},
        {"key": "mine"},
    ),
    (
        "envFrom can be referred to",
        {"envFrom": [{"configMapRef": {"name": "c"}}], "env": [entry("V", "amqp://$(host)")]},
        {"V": "amqp://db"},
    ),
    (
        "an optional key that is not there leaves what was before",
        {"env": [entry("V", "1"), entry("V", secret=("s", "none"), optional=True)]},
        {"V": "1"},
    ),
    (
        "nothing of a source whose prefix does not fit",
        {"env": [entry("V", "x")], "envFrom": [{"prefix": "P_", "secretRef": {"name": "gone"}}]},
        {"V": "x"},
    ),
    ("a source without a reference", {"env": [entry("V", "x")], "envFrom": [{"prefix": ""}]}, {"V": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("container", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_variables(container: dict[str, Any], expected: dict[str, str]) -> None:
    assert resolved(container, *expected) == expected


UNSET: list[tuple[str, dict[str, Any]]] = [
    ("a key of no Secret", {"env": [entry("V", secret=("gone", "key"), optional=True)]}),
    ("no such key of a Secret", {"env": [entry("V", secret=("s", "none"), optional=True)]}),
    ("a key of no ConfigMap", {"env": [entry("V", config=("gone", "key"), optional=True)]}),
    ("all of no Secret", {"envFrom": [{"secretRef": {"name": "gone", "optional": True}}]}),
    ("all of no ConfigMap", {"envFrom": [{"configMapRef": {"name": "gone", "optional": True}}]}),
]


@pytest.mark.parametrize("container", [case[1] for case in UNSET], ids=[case[0] for case in UNSET])
def test_what_is_optional_may_be_missing(container: dict[str, Any]) -> None:
    assert resolved(container, "V") == {}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no such variable", {"env": [entry("W", "x")]}, "container 'web' has no variable V"),
    ("no environment at all", {}, "container 'web' has no variable V"),
    ("a key of no Secret", {"env": [entry("V", secret=("gone", "key"))]}, "Secret ns/gone does not exist"),
    ("no such key", {"env": [entry("V", secret=("s", "none"))]}, "Secret ns/s has no key 'none'"),
    ("a key of no ConfigMap", {"env": [entry("V", config=("gone", "k"), optional=False)]}, "ConfigMap ns/gone"),
    ("all of no Secret", {"envFrom": [{"secretRef": {"name": "gone"}}]}, "Secret ns/gone does not exist"),
    ("all of no ConfigMap", {"envFrom": [{"configMapRef": {"name": "gone"}}]}, "ConfigMap ns/gone does not exist"),
    ("a name that no source has", {"envFrom": [{"secretRef": {"name": "s"}}]}, "container 'web' has no variable V"),
    ("of an optional source", {"envFrom": [{"secretRef": {"name": "s", "optional": True}}]}, "no variable V"),
    ("a field of the pod", {"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}, "from pod to pod"),
    ("behind a reference", {"env": [entry("A", secret=("gone", "k")), entry("V", "$(A)")]}, "Secret ns/gone does not"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_missing_is_named(container: dict[str, Any], says: str) -> None:
    with pytest.raises(ScalerError) as error:
        resolved(container, "V")
    assert says in str(error.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(
        ScalerError, match=r"Secret ns/a does not exist; ConfigMap ns/b does not exist; .* no variable W"
    ):
        resolved({"env": [entry("V", secret=("a", "k")), entry("X", config=("b", "k"))]}, "V", "X", "W")


def test_what_was_not_read_yet_is_neither_missing_nor_optional() -> None:
    unread: Objects = {("Secret", "ns", "s"): UNREAD}
    for container in (
        {"env": [entry("V", secret=("s", "key"), optional=True)]},
        {"envFrom": [{"secretRef": {"name": "s", "optional": True}}]},
    ):
        with pytest.raises(Unread):
            resolved(container, "V", objects=unread)


def test_a_refusal_is_an_error_also_of_what_is_optional() -> None:
    refused: Objects = {("Secret", "ns", "s"): ScalerError("secrets is forbidden")}
    with pytest.raises(ScalerError, match="forbidden"):
        resolved({"env": [entry("V", secret=("s", "key"), optional=True)]}, "V", objects=refused)


def test_only_what_is_needed_is_looked_at() -> None:
    known = Known(SECRET | CONFIG)
    container = {
        "envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}],
        "env": [entry("A", secret=("s", "other")), entry("V", "$(A)"), entry("W", secret=("gone", "k"))],
    }
    pod = PodSpec.model_validate({"containers": [{"name": "web", **container}]})
    assert variables(container_of(pod, "web"), ["V"], "ns", reading=Reading(known)) == {"V": "x"}
    assert known.asked == {"Secret ns/s:other", "ConfigMap ns/c:V", "ConfigMap ns/c:A"}


def test_init_containers_are_not_looked_at() -> None:
    pod = PodSpec.model_validate({"initContainers": [{"name": "init"}], "containers": [{"name": "web"}]})
    with pytest.raises(ScalerError, match="no container 'init'; it has web"):
        container_of(pod, "init")
    with pytest.raises(ScalerError, match=r"no spec.template.spec.containers"):
        container_of(PodSpec(), "")


def test_references_that_double_with_each_line_come_to_an_end() -> None:
    env = [entry("V0", "x" * 64)] + [entry(f"V{i}", f"$(V{i - 1})$(V{i - 1})") for i in range(1, 64)]
    with pytest.raises(ScalerError, match=f"longer than {LONGEST}"):
        resolved({"env": env}, "V63")


def test_a_long_chain_of_references_is_no_deep_one() -> None:
    env = [entry("V0", "x")] + [entry(f"V{i}", f"$(V{i - 1})") for i in range(1, 3000)]
    assert resolved({"env": env}, "V2999") == {"V2999": "x"}


def test_values_are_not_shown() -> None:
    pod = PodSpec.model_validate({"containers": [{"name": "web", "env": [entry("V", "hush")]}]})
    assert "hush" not in repr(pod)
