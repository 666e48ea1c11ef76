"""Resolving a trigger: from its authenticationRef and its ``…FromEnv`` to credentials, or to a sentence why not.

The order and the merging are those of KEDA's pkg/scaling/resolver/scale_resolvers.go (resolveAuthRef): variables of
the target, ConfigMaps, Secrets, secret stores, tokens, OAuth 2; a later one wins, and a file stands for all of them.
What is not there is an error here and never an empty credential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from keda_py.api.authentication import OAuth2
from keda_py.api.trigger import ScaleTrigger
from keda_py.engine.credentials.environment import container_of, variables
from keda_py.engine.credentials.identity import identity_of, role_of
from keda_py.engine.credentials.lookup import TOKEN, Authentication, File, Lookups, Named, Reading, Token
from keda_py.engine.credentials.section import sections
from keda_py.scaler import PodIdentity, ScalerError

FROM_ENV: Final = "FromEnv"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was resolved for a trigger; values stay out of `repr`."""

    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    pod_identity: PodIdentity = field(default_factory=PodIdentity)


def resolve(trigger: ScaleTrigger, namespace: str, *, container: str, lookups: Lookups) -> Resolved:
    """Return the credentials of a trigger of an object in `namespace`.

    `container`: whose environment ``…FromEnv`` means. Raises `ScalerError` with everything that is wrong, or `Unread`
    while something has not been read yet.
    """
    reading = Reading(lookups)
    auth: dict[str, str] = {}
    identity = PodIdentity()
    env = _environment(_referenced(trigger.metadata), namespace, container, reading)
    found = None if trigger.authentication_ref is None else reading.authentication(trigger.authentication_ref)
    if found is not None:
        auth = _parameters(found, namespace, reading)
        identity = _identity(found, namespace, auth, reading)
    reading.finish()
    return Resolved(auth, env, identity)


def _referenced(metadata: Mapping[str, str]) -> set[str]:
    """Return the variables that a trigger's metadata names."""
    return {value for name, value in metadata.items() if name.endswith(FROM_ENV) and value.strip()}


def _environment(names: set[str], namespace: str, container: str, reading: Reading) -> dict[str, str]:
    if not names or (pod := reading.pod()) is None:
        return {}
    try:
        return variables(container_of(pod, container), names, namespace, reading=reading)
    except ScalerError as error:
        reading.problem(str(error))
        return {}


def _parameters(found: Authentication, namespace: str, reading: Reading) -> dict[str, str]:
    if found.spec.file_path:
        return _from_file(found, reading)
    auth: dict[str, str] = {}
    for wanted in found.spec.env:
        # The target is the object's, also when the authentication is the cluster's.
        known = _environment({wanted.name}, namespace, wanted.container_name, reading)
        if wanted.name in known:
            auth[wanted.parameter] = known[wanted.name]
    for kind, refs in (("ConfigMap", found.spec.config_map_target_ref), ("Secret", found.spec.secret_target_ref)):
        for ref in refs:
            auth[ref.parameter] = reading.required(Named(kind, found.namespace, ref.name, ref.key))
    for section in sections(found, namespace, reading):
        auth |= reading.elsewhere(section)
    for bound in found.spec.bound_service_account_token:
        auth[bound.parameter] = reading.elsewhere(Token(found.namespace, bound.service_account_name)).get(TOKEN, "")
    if found.spec.oauth2 is not None:
        auth |= _grant(found.spec.oauth2, found.namespace, reading)
    return auth


def _from_file(found: Authentication, reading: Reading) -> dict[str, str]:
    """Return what a file says; only who may write cluster objects may name one of the daemon's files."""
    if found.of_cluster:
        return dict(reading.elsewhere(File(found.spec.file_path)))
    reading.problem(f"{found.title}: filePath is for ClusterTriggerAuthentications; use one, or secretTargetRef")
    return {}


def _grant(oauth2: OAuth2, namespace: str, reading: Reading) -> dict[str, str]:
    """Return the parameters with which scalers over HTTP ask for a token themselves."""
    auth = {"oauthTokenURI": oauth2.token_url, "clientID": oauth2.client_id}
    if oauth2.client_secret is not None:
        ref = oauth2.client_secret.value_from.secret_key_ref
        auth["clientSecret"] = reading.required(Named("Secret", namespace, ref.name, ref.key))
    if oauth2.scopes:
        auth["scopes"] = ",".join(oauth2.scopes)
    if oauth2.token_url_params:
        auth["endpointParams"] = urlencode(sorted(oauth2.token_url_params.items()))
    return auth


def _identity(found: Authentication, namespace: str, auth: dict[str, str], reading: Reading) -> PodIdentity:
    """Return who to be; the role that the target's ServiceAccount names is a parameter too, as in KEDA."""
    spec = found.spec.pod_identity
    if spec is None:
        return PodIdentity()
    role = role_of(spec, found.title, namespace, reading=reading)
    if role is not None:
        auth["awsRoleArn"] = role
    return identity_of(spec, auth.get("awsRoleArn", ""))
