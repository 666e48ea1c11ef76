"""Tokens for ServiceAccounts: what comes back for a TokenRequest."""

import base64
import json
from typing import Any

from .side import Side

REQUEST: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}


def test_a_token_is_made_for_a_service_account(side: Side, space: str) -> None:
    accounts = f"/api/v1/namespaces/{space}/serviceaccounts"
    account = side.make(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    said = side.ask("POST", f"{accounts}/reader/token", REQUEST | {"spec": {"expirationSeconds": 7200}})
    assert (said.code, said.body["kind"], said.body["spec"]["expirationSeconds"]) == (201, "TokenRequest", 7200)
    _, claims, _ = said.body["status"]["token"].split(".")
    found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert found["sub"] == f"system:serviceaccount:{space}:reader"
    bound = found["kubernetes.io"]
    assert (bound["namespace"], bound["serviceaccount"]["uid"]) == (space, account["metadata"]["uid"])
    assert found["exp"] - found["iat"] == 7200
    assert said.body["status"]["expirationTimestamp"].endswith("Z")


def test_a_token_lasts_an_hour_unless_said_and_ten_minutes_at_least(side: Side, space: str) -> None:
    accounts = f"/api/v1/namespaces/{space}/serviceaccounts"
    side.make(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    said = side.ask("POST", f"{accounts}/reader/token", REQUEST)
    assert said.body["spec"]["expirationSeconds"] == 3600
    said = side.ask("POST", f"{accounts}/reader/token", REQUEST | {"spec": {"expirationSeconds": 5}})
    assert (said.code, said.reason) == (422, "Invalid")
    assert "may not specify a duration less than 10 minutes" in said.message


def test_there_is_no_token_for_nobody(side: Side, space: str) -> None:
    said = side.ask("POST", f"/api/v1/namespaces/{space}/serviceaccounts/nobody/token", REQUEST)
    assert (said.code, said.reason) == (404, "NotFound")
