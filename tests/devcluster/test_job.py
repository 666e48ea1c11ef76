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
