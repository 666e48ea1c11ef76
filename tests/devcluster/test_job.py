"""Jobs: how they end, what of them is refused, and what goes with them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from keda_py.engine.job import trim_job

from .side import Side, at

Object = dict[str, Any]


@pytest.fixture
def jobs(space: str) -> str:
    """The path of the Jobs in the test's namespace."""
    return at("batch/v1", space, "jobs")


def job(name: str, **pod: Any) -> Object:
    container = {"name": "main", "image": "none", "command": ["sleep", "1"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container], **pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}}


def pods_of(side: Side, jobs: str, name: str) -> list[Object]:
    path = jobs.replace("/apis/batch/v1/", "/api/v1/").removesuffix("jobs") + "pods"
    return list(side.get(path, labelSelector=f"job-name={name}")["items"])


def test_it_runs_and_is_complete(side: Side, jobs: str) -> None:
    assert trim_job(side.make(jobs, job("one")))["status"]["conditions"] == []
    found = side.until(lambda: (one := side.get(f"{jobs}/one")) and trim_job(one)["status"]["conditions"] and one)
    (ended,) = trim_job(found)["status"]["conditions"]
    assert (ended["type"], ended["status"]) == ("Complete", "True")
    # The real controller asks the clock for each.
    completed = datetime.fromisoformat(found["status"]["completionTime"])
    assert datetime.fromisoformat(ended["lastTransitionTime"]) - completed <= timedelta(seconds=1)
    assert found["status"]["succeeded"] == 1
    assert "active" not in found["status"]
    (pod,) = pods_of(side, jobs, "one")
    assert pod["status"]["phase"] == "Succeeded"
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (found["metadata"]["uid"], True)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"restartPolicy": "Always"}, 'Required value: valid values: "OnFailure", "Never"'),
        ({"restartPolicy": ""}, 'Required value: valid values: "OnFailure", "Never"'),
        ({"restartPolicy": "Sometimes"}, 'Unsupported value: "Sometimes": supported values: "OnFailure", "Never"'),
    ],
)
def test_its_pods_are_not_to_be_restarted_for_ever(side: Side, jobs: str, policy: Object, message: str) -> None:
    said = side.ask("POST", jobs, job("one", **policy))
    assert (said.code, said.reason) == (422, "Invalid")
    assert f"spec.template.spec.restartPolicy: {message}" in said.message


def test_its_name(side: Side, jobs: str) -> None:
    said = side.ask("POST", jobs, job("No_Name"))
    assert (said.code, said.reason) == (422, "Invalid")
    assert 'metadata.name: Invalid value: "No_Name"' in said.message
    first = side.make(jobs, job("one"))
    again = side.ask("POST", jobs, job("one"))
    assert (again.code, again.reason, again.message) == (409, "AlreadyExists", 'jobs.batch "one" already exists')
    assert side.get(f"{jobs}/one")["metadata"]["uid"] == first["metadata"]["uid"]


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_its_pods_go_with_it(side: Side, jobs: str, policy: str) -> None:
    side.make(jobs, job("one"))
    side.until(lambda: pods_of(side, jobs, "one"), "it has a pod")
    assert side.ask("DELETE", f"{jobs}/one", {"propagationPolicy": policy}).code == 200
    side.until(lambda: side.ask("GET", f"{jobs}/one").code == 404, "it is gone")
    side.until(lambda: not pods_of(side, jobs, "one"), "its pod is gone")


def test_its_pods_stay_unless_told_otherwise(side: Side, jobs: str) -> None:
    side.make(jobs, job("one"))
    side.until(lambda: pods_of(side, jobs, "one"), "it has a pod")
    assert side.ask("DELETE", f"{jobs}/one").code == 200
    side.until(lambda: side.ask("GET", f"{jobs}/one").code == 404, "it is gone")
    (pod,) = pods_of(side, jobs, "one")
    side.until(lambda: not pods_of(side, jobs, "one")[0]["metadata"].get("ownerReferences"), "nobody owns its pod")
    assert pod["metadata"]["name"] == pods_of(side, jobs, "one")[0]["metadata"]["name"]


# --- what its controller does, by its status --------------------------------------------------------------------------

TIMES = ("startTime", "completionTime")
waits = pytest.mark.e2e
"""Takes seconds of real time on either side."""


def told(found: Object) -> Object:
    """Return the status of a Job without its times, and its conditions as type, status and reason."""
    status = {name: value for name, value in found["status"].items() if name not in TIMES}
    conditions = [(c["type"], c["status"], c.get("reason", "")) for c in status.pop("conditions", [])]
    return status | {"conditions": conditions}


def ended(side: Side, path: str) -> Object:
    found = side.until(lambda: (one := side.get(path)) and trim_job(one)["status"]["conditions"] and one)
    return dict(found)


def fail(side: Side, jobs: str, name: str) -> None:
    """Let the pod of a Job that runs fail."""
    running = side.until(
        lambda: [pod for pod in pods_of(side, jobs, name) if pod["status"].get("phase") == "Running"], "a pod runs", 30
    )
    path = jobs.replace("/apis/batch/v1/", "/api/v1/").removesuffix("jobs") + "pods"
    side.patch(f"{path}/{running[0]['metadata']['name']}/status", {"status": {"phase": "Failed"}})


def lasting(name: str, **spec: Any) -> Object:
    """Return a Job that works for as long as anybody looks."""
    made = job(name)
    made["spec"]["template"]["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    made["spec"] |= spec
    return made


def test_how_it_tells_that_it_is_complete(side: Side, jobs: str) -> None:
    made = side.make(jobs, job("one"))
    assert {name: made["spec"][name] for name in ("parallelism", "completions", "backoffLimit", "suspend")} == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "suspend": False,
    }
    found = ended(side, f"{jobs}/one")
    assert "completionTime" in found["status"]
    assert told(found) == {
        "succeeded": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [
            ("SuccessCriteriaMet", "True", "CompletionsReached"),
            ("Complete", "True", "CompletionsReached"),
        ],
    }


@waits
def test_a_pod_that_failed_is_followed_by_another_a_while_later(side: Side, jobs: str) -> None:
    side.make(jobs, lasting("one", backoffLimit=1))
    fail(side, jobs, "one")
    side.until(lambda: side.get(f"{jobs}/one")["status"].get("failed") == 1, "it is counted")
    fail(side, jobs, "one")
    found = ended(side, f"{jobs}/one")
    first, second = sorted(pod["metadata"]["creationTimestamp"] for pod in pods_of(side, jobs, "one"))
    assert datetime.fromisoformat(second) - datetime.fromisoformat(first) >= timedelta(seconds=10)
    assert "completionTime" not in found["status"]
    assert told(found) == {
        "failed": 2,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [
            ("FailureTarget", "True", "BackoffLimitExceeded"),
            ("Failed", "True", "BackoffLimitExceeded"),
        ],
    }


@waits
def test_it_has_a_deadline(side: Side, jobs: str) -> None:
    side.make(jobs, lasting("one", activeDeadlineSeconds=2))
    found = ended(side, f"{jobs}/one")
    assert told(found)["conditions"] == [
        ("FailureTarget", "True", "DeadlineExceeded"),
        ("Failed", "True", "DeadlineExceeded"),
    ]
    assert found["status"]["failed"] == 1
    side.until(lambda: pods_of(side, jobs, "one") == [], "its pod is gone")


@waits
def test_it_goes_by_itself_when_it_is_to(side: Side, jobs: str) -> None:
    kept, gone = job("kept"), job("gone")
    gone["spec"]["ttlSecondsAfterFinished"] = 1
    side.make(jobs, kept)
    side.make(jobs, gone)
    side.until(lambda: side.ask("GET", f"{jobs}/gone").code == 404, "it is gone")
    side.until(lambda: pods_of(side, jobs, "gone") == [], "its pod is gone")
    assert told(ended(side, f"{jobs}/kept"))["succeeded"] == 1


def test_it_is_suspended_and_goes_on(side: Side, jobs: str) -> None:
    side.make(jobs, lasting("one", suspend=True))
    side.until(lambda: side.get(f"{jobs}/one").get("status", {}).get("conditions"), "it says so")
    found = side.get(f"{jobs}/one")
    assert told(found)["conditions"] == [("Suspended", "True", "JobSuspended")]
    assert "startTime" not in found["status"]
    assert pods_of(side, jobs, "one") == []
    side.patch(f"{jobs}/one", {"spec": {"suspend": False}})
    side.until(lambda: side.get(f"{jobs}/one")["status"].get("ready") == 1, "it is at work")
    found = side.get(f"{jobs}/one")
    assert told(found)["conditions"] == [("Suspended", "False", "JobResumed")]
    assert found["status"]["active"] == 1
    side.patch(f"{jobs}/one", {"spec": {"suspend": True}})
    side.until(lambda: pods_of(side, jobs, "one") == [], "its pod is gone")
    side.until(lambda: "active" not in side.get(f"{jobs}/one")["status"], "none is at work")


@waits
def test_pods_that_share_the_work(side: Side, jobs: str) -> None:
    made = job("one")
    made["spec"]["parallelism"] = 2
    assert "completions" not in side.make(jobs, made)["spec"]
    found = ended(side, f"{jobs}/one")
    assert (found["status"]["succeeded"], len(pods_of(side, jobs, "one"))) == (2, 2)


@waits
def test_several_at_a_time_until_all_are_done(side: Side, jobs: str) -> None:
    made = job("one")
    made["spec"] |= {"parallelism": 2, "completions": 3}
    side.make(jobs, made)
    assert ended(side, f"{jobs}/one")["status"]["succeeded"] == 3


@waits
def test_what_another_controller_manages_is_left_alone(side: Side, jobs: str) -> None:
    side.make(jobs, lasting("one", managedBy="example.com/other"))
    side.make(jobs, job("two"))
    ended(side, f"{jobs}/two")
    assert pods_of(side, jobs, "one") == []
    assert side.get(f"{jobs}/one").get("status", {}) == {}
