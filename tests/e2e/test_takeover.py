"""A cluster that KEDA ran is taken over in place, and left so that KEDA can have it back."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.controlplane.daemon import NAMESPACE, Daemon

from .keda import (
    ACTIVE,
    COMPOSITE,
    COOLING,
    FALLBACK,
    FINALIZER,
    IDLE,
    METRIC,
    NO_FALLBACK,
    NOT_PAUSED,
    PAUSED,
    SCALING,
    Left,
    ago,
    leave_lease,
)
from .quiet import assert_quiet_since, quiet
from .source import Source
from .world import World, moment, sleeping

pytestmark = pytest.mark.timeout(400)

ROOT: Final = Path(__file__).parents[2]
SCHEMAS: Final = json.loads((ROOT / "tests/api/keda-crds.json").read_text())
COOLDOWN: Final = 90
IDLE_SINCE: Final = 50
"""How many seconds ago KEDA saw `cooling` active for the last time."""
STEADY: Final = ("awake", "asleep", "paused", "one-way", "fallen", "composed", "contained")
JOBS_LEFT: Final = {"work-2b5vx", "work-9wq4z", "work-late", "work-broke"}
"""Those that run, and of those that have come to their end as many as are to be kept."""


CLUSTERS: Final = "clustertriggerauthentication"


@pytest.fixture
def world(world: World) -> Iterator[World]:
    yield world
    # No daemon runs any more that would let them go.
    left = [(kind, name) for kind in ("so", "sj", "triggerauthentication") for name in uids(world, kind)]
    if shared(world) in uids(world, CLUSTERS):
        left.append((CLUSTERS, shared(world)))
        world.cluster.kubectl("delete", CLUSTERS, shared(world), "--wait=false")
    for kind, name in left:
        space, nothing = f"--namespace={world.namespace}", '--patch={"metadata":{"finalizers":null}}'
        world.cluster.kubectl("patch", kind, name, space, "--type=merge", nothing)
    world.cluster.kubectl("delete", "secret", shared(world), f"--namespace={NAMESPACE}", "--ignore-not-found")


def shared(world: World) -> str:
    """Return the name of the ClusterTriggerAuthentication: no namespace keeps it from those of other tests."""
    return f"shared-{world.namespace}"


def leave(world: World, source: Source) -> None:
    """Have everything as KEDA leaves it, at once after it has gone."""
    source.values |= {"awake": 12, "work": 2, "restoring": 3, "first": 4, "second": 4, "one-way": 3}
    source.faults["fallen"] = "500"
    left = Left(world)
    left.authentication("auth", "awake")
    left.scaled_object(
        "awake",
        [source.trigger("awake", authenticationRef={"name": "auth"})],
        *(ACTIVE, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=3,
        status={"lastActiveTime": ago(2)},
        cooldownPeriod=COOLDOWN,
        advanced={"horizontalPodAutoscalerConfig": {"name": "mine"}},
    )
    left.cluster_authentication(shared(world), "asleep")
    of_cluster = {"name": shared(world), "kind": "ClusterTriggerAuthentication"}
    left.scaled_object(
        "asleep",
        [source.trigger("asleep", authenticationRef=of_cluster)],
        *(IDLE, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=0,
    )
    left.scaled_object(
        "composed",
        [source.trigger("first", name="first"), source.trigger("second", name="second")],
        *(ACTIVE, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=2,
        status={"lastActiveTime": ago(2)},
        advanced={"scalingModifiers": {"formula": "first + second", "target": "5"}},
    )
    # Asleep: awake its HPA would complain of there being no metrics server, again and again.
    left.scaled_object(
        "contained",
        [
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60", "containerName": "c"}},
            source.trigger("contained"),
        ],
        *(IDLE, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=0,
    )
    left.scaled_object(
        "one-way",
        [source.trigger("one-way")],
        *(ACTIVE, NO_FALLBACK, PAUSED, SCALING),
        # More than it wants, which it may not give back.
        replicas=4,
        annotations={"autoscaling.keda.sh/paused-scale-in": "true"},
        status={"lastActiveTime": ago(2)},
    )
    left.scaled_object(
        "paused",
        [source.trigger("paused")],
        *(IDLE, NO_FALLBACK, PAUSED),
        # Somebody has scaled it by hand since, which KEDA left alone.
        replicas=4,
        annotations={"autoscaling.keda.sh/paused-replicas": "2"},
        status={"pausedReplicaCount": 2},
    )
    left.scaled_object(
        "fallen",
        [source.trigger("fallen")],
        *(ACTIVE, FALLBACK, NOT_PAUSED, SCALING),
        replicas=4,
        status={"health": {METRIC: {"numberOfFailures": 1234, "status": "Failing"}}, "lastActiveTime": ago(3600)},
        fallback={"failureThreshold": 3, "replicas": 4},
    )
    left.scaled_object(
        "restoring",
        [source.trigger("restoring")],
        *(ACTIVE, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=1,
        status={"originalReplicaCount": 5, "lastActiveTime": ago(2)},
        advanced={"restoreToOriginalReplicaCount": True},
    )
    ended = {"early": sleeping(1), "late": sleeping(3), "failed": sleeping(1, exits=1), "broke": sleeping(3, exits=1)}
    left.scaled_job("work", source.trigger("work", target=1), "2b5vx", "9wq4z", **ended)
    left.scaled_object(
        "cooling",
        [source.trigger("cooling")],
        *(COOLING, NO_FALLBACK, NOT_PAUSED, SCALING),
        replicas=2,
        status={"lastActiveTime": ago(IDLE_SINCE)},
        cooldownPeriod=COOLDOWN,
    )
    leave_lease(world.cluster)


def started(world: World, folder: Path) -> Daemon:
    return Daemon(world.cluster, folder, "--leader-elect", "--http-timeout=8000")


def uids(world: World, kind: str) -> dict[str, str]:
    return {found["metadata"]["name"]: found["metadata"]["uid"] for found in world.get(kind)["items"]}


def replicas(world: World) -> dict[str, int]:
    return {found["metadata"]["name"]: found["spec"]["replicas"] for found in world.get("deployment")["items"]}


def statuses(world: World, kind: str = "so") -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found["status"] for found in world.get(kind)["items"]}


def conditions(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(found["type"], found["status"]) for found in status["conditions"]]


def jobs(world: World) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in world.get("jobs")["items"]}


def test_taken_over_in_place_and_left_as_keda_understands_it(world: World, source: Source, tmp_path: Path) -> None:
    leave(world, source)
    before, hpas, was = replicas(world), uids(world, "hpa"), statuses(world)
    specs = {name: world.get("hpa", name)["spec"] for name in hpas}
    theirs = {name: uid for name, uid in uids(world, "jobs").items() if name in JOBS_LEFT}
    with started(world, tmp_path) as daemon:
        world.until(lambda: '"leading"' in daemon.said(), "leads, once KEDA's lease has run out", seconds=60)
        leads = datetime.now(UTC)
        world.until_replicas("cooling", 0, seconds=COOLDOWN + 60)
        the_cooldown_went_on(world, was["cooling"], leads)
        # The last that there is to tell: what its HPA says of zero replicas.
        world.until(lambda: world.condition("cooling", "HPAActive")["reason"] == "ScalingDisabled", "told")
        settled, said = quiet(world), statuses(world)
        asked = source.asked.copy()
        world.until(lambda: all(source.asked[n] >= asked[n] + 10 for n in ("awake", "work", "fallen")), "polled", 90)
        assert statuses(world) == said
        assert_quiet_since(world, settled)

        assert uids(world, "hpa") == hpas, "no HPA was deleted or made anew"
        assert {name: world.get("hpa", name)["spec"] for name in hpas} == specs
        assert replicas(world) == before | {"cooling": 0}
        assert uids(world, "jobs") == theirs, "none was made twice, and only those that ended long ago were deleted"
        only_what_had_to_be_was_changed(was, statuses(world))
        assert world.get("triggerauthentication", "auth")["status"] == {"scaledobjects": "awake"}
        assert world.get(CLUSTERS, shared(world))["status"] == {"scaledobjects": "asleep"}
        told = {event["regarding"]["name"] for event in world.get("events.events.k8s.io")["items"] if is_kedas(event)}
        assert told & {*STEADY, "work"} <= {"fallen"}

        source.values["work"] = 3
        more = len(theirs) + 1
        world.until(lambda: len(jobs(world)) == more, "one more Job, for what came since", seconds=60)
        world.stays_so(lambda: theirs.items() <= uids(world, "jobs").items() and len(jobs(world)) == more, 5)
        assert daemon.stop() == 0
        daemon.process = None
        keda_could_have_it_back(world, hpas)


def is_kedas(event: dict[str, Any]) -> bool:
    return str(event["regarding"]["apiVersion"]).startswith("keda.sh")


def the_cooldown_went_on(world: World, was: dict[str, Any], leads: datetime) -> None:
    (slept,) = world.events("cooling", "KEDAScaleTargetDeactivated")
    at, since = moment(slept["eventTime"]), moment(was["lastActiveTime"])
    assert at >= since + timedelta(seconds=COOLDOWN), "not early"
    assert at < leads + timedelta(seconds=COOLDOWN), "and not counted anew"
    assert world.status("cooling")["lastActiveTime"] == was["lastActiveTime"]


def only_what_had_to_be_was_changed(was: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> None:
    for name in STEADY:
        changed = {field for field in was[name] | now[name] if was[name].get(field) != now[name].get(field)}
        # A message in our own words; and with it when it was active, as far as is known.
        assert changed <= {"conditions", "lastActiveTime"}, (name, was[name], now[name])
        told = [c for c in conditions(now[name]) if c[0] not in ("Ready", "HPAActive")]
        assert told == [c for c in conditions(was[name]) if c[0] not in ("Ready", "HPAActive")], name
    assert [c[0] for c in conditions(now["awake"])] == ["Ready", "Active", "Fallback", "Paused", "HPAActive"]
    assert moment(now["awake"]["lastActiveTime"]) >= moment(was["awake"]["lastActiveTime"])
    assert now["fallen"]["health"] == was["fallen"]["health"]


def keda_could_have_it_back(world: World, hpas: dict[str, str]) -> None:
    """Check what KEDA reads when it starts, by its own schema and by how its controllers use it."""
    for kind, plural in (("so", "scaledobjects"), ("sj", "scaledjobs")):
        (version,) = SCHEMAS[f"{plural}.keda.sh"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]
        for found in world.get(kind)["items"]:
            fits(found["status"], schema, f"{kind}/{found['metadata']['name']}")
            # Or KEDA sets all of them to Unknown first.
            assert {"Ready", "Active", "Fallback", "Paused"} <= dict(conditions(found["status"])).keys()
            assert found["metadata"]["finalizers"] == [FINALIZER]
    assert world.get(CLUSTERS, shared(world))["metadata"]["finalizers"] == [FINALIZER]
    told = statuses(world)
    assert {told[name]["hpaName"] for name in told if name != "paused"} == set(hpas)
    assert (told["paused"]["pausedReplicaCount"], told["restoring"]["originalReplicaCount"]) == (2, 5)
    assert told["composed"]["compositeScalerName"] == COMPOSITE
    assert all(told[name]["scaleTargetGVKR"]["resource"] == "deployments" for name in told)
    (work,) = world.get("sj")["items"]
    for job in jobs(world).values():
        # KEDA deletes those of another generation, and counts those with the label.
        assert job["metadata"]["annotations"]["scaledjob.keda.sh/generation"] == str(work["metadata"]["generation"])
        assert job["metadata"]["labels"]["scaledjob.keda.sh/name"] == "work"
    # Given up, so that nobody has to wait for it to run out.
    lease = world.cluster.get("lease", "operator.keda.sh", namespace=NAMESPACE)
    assert not lease["spec"].get("holderIdentity")
    the_documented_stamp_is_set(world)


def fits(value: Any, schema: dict[str, Any], where: str) -> None:
    """Fail if a value is not of the type that a schema says, or has what the schema does not know."""
    types: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    assert isinstance(value, types[schema["type"]]), f"{where} is no {schema['type']}: {value!r}"
    if schema.get("format") == "date-time":
        datetime.fromisoformat(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            fits(item, schema["items"], f"{where}[{index}]")
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys(), where
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"KEDA knows no {where}.{name}"
            fits(inner, known, f"{where}.{name}")


def the_documented_stamp_is_set(world: World) -> None:
    """Run what the documentation has for the way back: from then on the cooldown of what is active counts."""
    page = (ROOT / "docs/migrate.md").read_text()
    (script,) = [s for s in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "lastActiveTime" in s]
    before, began = statuses(world), ago(0)
    path = f"{world.cluster.bin}:{os.environ['PATH']}"
    environment = os.environ | {"KUBECONFIG": str(world.cluster.kubeconfig), "PATH": path}
    subprocess.run(["sh", "-ec", script], env=environment, check=True, timeout=120, capture_output=True)
    after = statuses(world)
    for name, told in after.items():
        if dict(conditions(told))["Active"] == "True":
            assert moment(told["lastActiveTime"]) >= moment(began), name
        else:
            assert told == before[name]


def test_what_keda_left_can_be_deleted(world: World, source: Source, tmp_path: Path) -> None:
    leave(world, source)
    with started(world, tmp_path):
        world.until(lambda: "ready to scaling" not in json.dumps(statuses(world, "sj")), "taken over", seconds=60)
        for kind, name in (("so", "restoring"), ("so", "paused"), ("sj", "work"), ("triggerauthentication", "auth")):
            world.delete(kind, name)
        world.delete(CLUSTERS, shared(world))
        world.until_replicas("restoring", 5)
        world.until(lambda: not {"restoring", "paused"} & uids(world, "so").keys(), "the ScaledObjects are gone")
        world.until(lambda: not uids(world, "sj") and not uids(world, "jobs"), "so are the ScaledJob and its Jobs", 60)
        world.until(lambda: not uids(world, "triggerauthentication"), "and the authentication")
        world.until(lambda: shared(world) not in uids(world, CLUSTERS), "and that of the cluster")
        world.until(lambda: "keda-hpa-restoring" not in uids(world, "hpa"), "and the HPA")
        assert replicas(world)["paused"] == 4
