"""Objects as the API keeps them: made, read, changed and deleted, and what is refused."""

import re

import pytest

from .side import MERGE, Side, at, config_map, deployment
from .widget import widget


def test_an_object_is_made_read_changed_and_deleted(side: Side, maps: str, space: str) -> None:
    made = side.make(maps, config_map("one", a="1"))
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("one", space)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert "generation" not in metadata

    assert side.get(f"{maps}/one") == made
    changed = side.ask("PUT", f"{maps}/one", made | {"data": {"b": "2"}})
    assert (changed.code, changed.body["data"]) == (200, {"b": "2"})
    assert int(changed.body["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
    assert changed.body["metadata"]["uid"] == metadata["uid"]

    gone = side.ask("DELETE", f"{maps}/one")
    assert gone.code == 200
    assert (gone.body["kind"], gone.body["status"]) == ("Status", "Success")
    assert gone.body["details"] == {"name": "one", "kind": "configmaps", "uid": metadata["uid"]}
    assert side.ask("GET", f"{maps}/one").code == 404


def test_a_name_can_be_generated(side: Side, maps: str) -> None:
    names = [side.make(maps, {"metadata": {"generateName": "gen-"}})["metadata"]["name"] for _ in range(3)]
    assert all(re.fullmatch(r"gen-[a-z0-9]{5}", name) for name in names)
    assert len(set(names)) == 3


def test_refusals_have_a_status(side: Side, maps: str) -> None:
    missing = side.ask("GET", f"{maps}/none")
    assert missing.code == 404
    assert missing.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "kind": "configmaps"},
        "code": 404,
    }
    side.make(maps, config_map("one"))
    again = side.ask("POST", maps, config_map("one"))
    assert (again.code, again.reason, again.message) == (409, "AlreadyExists", 'configmaps "one" already exists')
    assert again.body["details"] == {"name": "one", "kind": "configmaps"}


def test_a_group_is_part_of_what_a_refusal_names(side: Side, deployments: str, widgets: str) -> None:
    missing = side.ask("GET", f"{deployments}/none")
    assert missing.message == 'deployments.apps "none" not found'
    assert missing.body["details"] == {"name": "none", "group": "apps", "kind": "deployments"}
    missing = side.ask("DELETE", f"{widgets}/none")
    assert missing.message == 'widgets.test.example "none" not found'
    assert missing.body["details"] == {"name": "none", "group": "test.example", "kind": "widgets"}


@pytest.mark.parametrize(
    ("metadata", "path", "words"),
    [
        ({"name": "Upper"}, "metadata.name", "a lowercase RFC 1123 subdomain must consist of"),
        ({"name": "a" * 254}, "metadata.name", "must be no more than 253 "),
        ({}, "metadata.name", "name or generateName is required"),
        ({"name": "x", "labels": {"a b": "1"}}, "metadata.labels", "name part must consist of alphanumeric characters"),
        (
            {"name": "x", "labels": {"a": "b c"}},
            "metadata.labels",
            "a valid label must be an empty string or consist of",
        ),
        ({"name": "x", "finalizers": ["plain"]}, "metadata.finalizers[0]", "name is neither a standard finalizer name"),
    ],
)
def test_metadata_that_is_not_allowed(
    side: Side, maps: str, metadata: dict[str, object], path: str, words: str
) -> None:
    refused = side.ask("POST", maps, {"metadata": metadata})
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message.startswith("ConfigMap ")
    assert words in refused.message
    causes = refused.body["details"]["causes"]
    assert path in [cause["field"] for cause in causes]
    assert refused.body["details"]["kind"] == "ConfigMap"


def test_finalizers_of_custom_resources_need_no_domain(side: Side, widgets: str) -> None:
    # KEDA's own, finalizer.keda.sh, has none either.
    made = side.make(widgets, widget("kept") | {"metadata": {"name": "kept", "finalizers": ["plain.example"]}})
    assert made["metadata"]["finalizers"] == ["plain.example"]
    side.patch(f"{widgets}/kept", {"metadata": {"finalizers": None}})
    refused = side.ask("POST", widgets, widget("other") | {"metadata": {"name": "other", "finalizers": ["a b"]}})
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "name part must consist of alphanumeric characters" in refused.message


def test_bodies_that_make_no_sense(side: Side, maps: str) -> None:
    other = side.ask("POST", maps, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    assert (other.code, other.reason) == (400, "BadRequest")
    assert "Secret" in other.message
    elsewhere = side.ask("POST", maps, {"metadata": {"name": "x", "namespace": "other"}})
    assert (elsewhere.code, elsewhere.reason) == (400, "BadRequest")
    assert elsewhere.message.startswith("the namespace of the provided object does not match the namespace sent on")
    broken = side.ask("POST", maps, b"{not json")
    assert (broken.code, broken.reason) == (400, "BadRequest")
    side.make(maps, config_map("x"))
    renamed = side.ask("PUT", f"{maps}/x", config_map("y"))
    assert (renamed.code, renamed.reason) == (400, "BadRequest")
    assert renamed.message == "the name of the object (y) does not match the name on the URL (x)"


def test_what_is_not_served(side: Side, space: str, maps: str) -> None:
    assert side.ask("GET", "/apis/none.example/v1/things").code == 404
    for path in (f"/api/v1/namespaces/{space}/nothings", f"{maps}/x/scale"):
        missing = side.ask("GET", path)
        assert (missing.code, missing.reason) == (404, "NotFound")
        assert missing.message == "the server could not find the requested resource"
    refused = side.ask("POST", f"{maps}/x", config_map("x"))
    assert (refused.code, refused.reason) == (405, "MethodNotAllowed")
    assert refused.message == "the server does not allow this method on the requested resource"


def test_a_write_on_an_old_version_conflicts(side: Side, maps: str) -> None:
    old = side.make(maps, config_map("one", a="1"))
    side.patch(f"{maps}/one", {"data": {"a": "2"}})
    late = side.ask("PUT", f"{maps}/one", old | {"data": {"a": "3"}})
    assert (late.code, late.reason) == (409, "Conflict")
    assert late.message == (
        'Operation cannot be fulfilled on configmaps "one": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    patch = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"a": "3"}}
    assert side.ask("PATCH", f"{maps}/one", patch, type_=MERGE).code == 409
    assert side.get(f"{maps}/one")["data"] == {"a": "2"}


def test_a_put_without_a_version_wins(side: Side, maps: str, widgets: str) -> None:
    side.make(maps, config_map("one", a="1"))
    assert side.ask("PUT", f"{maps}/one", config_map("one", a="2")).code == 200
    side.make(widgets, widget("one"))
    refused = side.ask("PUT", f"{widgets}/one", widget("one", size=2))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0" in refused.message
    assert "must be specified for an update" in refused.message


def test_a_put_may_make_nothing_of_a_custom_resource(side: Side, widgets: str) -> None:
    refused = side.ask("PUT", f"{widgets}/none", widget("none"))
    assert refused.code == 404


def test_an_unchanged_write_changes_nothing(side: Side, maps: str, deployments: str) -> None:
    made = side.make(maps, config_map("one", a="1"))
    assert side.ask("PUT", f"{maps}/one", made).body == made
    assert side.patch(f"{maps}/one", {"data": {"a": "1"}}) == made


def test_generation_counts_changes_of_the_spec(side: Side, widgets: str) -> None:
    made = side.make(widgets, widget("one"))
    assert made["metadata"]["generation"] == 1
    path = f"{widgets}/one"
    assert side.patch(path, {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    assert side.patch(f"{path}/status", {"status": {"phase": "Up"}})["metadata"]["generation"] == 1
    assert side.patch(path, {"spec": {"size": 2}})["metadata"]["generation"] == 2
    assert side.patch(path, {"metadata": {"generation": 7, "uid": None}})["metadata"]["generation"] == 2


def test_generation_of_a_deployment(side: Side, deployments: str) -> None:
    assert side.make(deployments, deployment("one"))["metadata"]["generation"] == 1
    path = f"{deployments}/one"
    assert side.patch(path, {"spec": {"paused": True}})["metadata"]["generation"] == 2
    assert side.patch(path, {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 2
    assert side.patch(f"{path}/status", {"status": {"readyReplicas": 0}})["metadata"]["generation"] == 2


def test_status_and_the_rest_are_written_apart(side: Side, widgets: str) -> None:
    made = side.make(widgets, widget("one") | {"status": {"phase": "Early"}})
    assert "status" not in made
    path = f"{widgets}/one"
    told = side.patch(
        f"{path}/status", {"status": {"phase": "Up"}, "spec": {"size": 9}, "metadata": {"labels": {"a": "b"}}}
    )
    assert (told["status"], told["spec"]["size"]) == ({"phase": "Up"}, 1)
    assert "labels" not in told["metadata"]
    changed = side.patch(path, {"status": {"phase": "Down"}, "spec": {"size": 2}})
    assert (changed["status"], changed["spec"]["size"]) == ({"phase": "Up"}, 2)
    put = side.ask("PUT", f"{path}/status", changed | {"spec": {"size": 5}, "status": {"phase": "Gone"}})
    assert (put.code, put.body["status"], put.body["spec"]["size"]) == (200, {"phase": "Gone"}, 2)
    assert side.get(f"{path}/status") == side.get(path)


def test_preconditions_of_a_write_and_a_deletion(side: Side, maps: str) -> None:
    uid = "11111111-2222-4333-8444-555555555555"
    made = side.make(maps, config_map("one"))
    patched = side.ask("PATCH", f"{maps}/one", {"metadata": {"uid": uid}}, type_=MERGE)
    assert (patched.code, patched.reason) == (422, "Invalid")
    assert f'metadata.uid: Invalid value: "{uid}": field is immutable' in patched.message
    refused = side.ask("PUT", f"{maps}/one", {"metadata": {"name": "one", "uid": uid}})
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert f"Precondition failed: UID in precondition: {uid}, UID in object meta: {made['metadata']['uid']}" in (
        refused.message
    )
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
    refused = side.ask("DELETE", f"{maps}/one", options)
    assert (refused.code, refused.reason) == (409, "Conflict")
    options = {"preconditions": {"resourceVersion": "1"}}
    assert side.ask("DELETE", f"{maps}/one", options).code == 409
    options = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert side.ask("DELETE", f"{maps}/one", options).code == 200


def test_a_dry_run_changes_nothing(side: Side, maps: str) -> None:
    said = side.ask("POST", maps, config_map("one"), dryRun="All")
    assert (said.code, said.body["metadata"]["name"]) == (201, "one")
    assert side.ask("GET", f"{maps}/one").code == 404
    before = side.make(maps, config_map("one", a="1"))
    said = side.ask("PATCH", f"{maps}/one", {"data": {"a": "2"}}, type_=MERGE, dryRun="All")
    assert (said.code, said.body["data"]) == (200, {"a": "2"})
    assert side.ask("PUT", f"{maps}/one", config_map("one", a="3"), dryRun="All").body["data"] == {"a": "3"}
    assert side.ask("DELETE", f"{maps}/one", dryRun="All").code == 200
    assert side.ask("DELETE", f"{maps}/one", {"dryRun": ["All"]}).code == 200
    assert side.ask("DELETE", maps, dryRun="All").code == 200
    assert side.get(f"{maps}/one") == before
    refused = side.ask("POST", maps, config_map("two"), dryRun="Some")
    assert (refused.code, refused.reason) == (422, "Invalid")


def test_a_namespace_that_is_not_there(side: Side) -> None:
    nowhere = at("v1", "nowhere", "configmaps")
    refused = side.ask("POST", nowhere, config_map("one"))
    assert (refused.code, refused.reason, refused.message) == (404, "NotFound", 'namespaces "nowhere" not found')
    assert refused.body["details"] == {"name": "nowhere", "kind": "namespaces"}
    assert side.get(nowhere)["items"] == []
    assert side.ask("GET", f"{nowhere}/one").message == 'configmaps "one" not found'


def test_a_namespace_goes_with_what_is_in_it(side: Side) -> None:
    side.make("/api/v1/namespaces", {"metadata": {"generateName": "going-"}})
    name = side.make("/api/v1/namespaces", {"metadata": {"generateName": "going-"}})["metadata"]["name"]
    here = at("v1", name, "configmaps")
    side.make(here, config_map("one"))
    side.ask("PATCH", f"{here}/one", {"metadata": {"finalizers": ["test.example/hold"]}}, type_=MERGE)
    said = side.ask("DELETE", f"/api/v1/namespaces/{name}")
    assert said.code == 200
    assert said.body["status"]["phase"] == "Terminating"
    side.until(lambda: "deletionTimestamp" in side.get(f"{here}/one")["metadata"], "what is in it is going")
    refused = side.ask("POST", here, config_map("two"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert f"unable to create new content in namespace {name} because it is being terminated" in refused.message
    assert side.ask("GET", f"/api/v1/namespaces/{name}").code == 200
    side.patch(f"{here}/one", {"metadata": {"finalizers": None}})
    side.until(lambda: side.ask("GET", f"/api/v1/namespaces/{name}").code == 404, "the namespace is gone")
    assert side.get(here)["items"] == []


def test_deleting_a_collection(side: Side, maps: str) -> None:
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        side.make(maps, config_map(name, {"color": color}))
    said = side.ask("DELETE", maps, labelSelector="color=red")
    assert (said.code, said.body["kind"]) == (200, "ConfigMapList")
    assert sorted(item["metadata"]["name"] for item in said.body["items"]) == ["a", "b"]
    left = [item["metadata"]["name"] for item in side.get(maps)["items"]]
    assert "c" in left
    assert not {"a", "b"} & set(left)
