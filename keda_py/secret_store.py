"""The contract of secret stores: where a TriggerAuthentication's parameters can be besides the cluster itself.

A store is a class registered under the entry point group ``keda_py.secret_stores`` by the manifest's name of its
section, such as ``hashiCorpVault``. It logs in, reads all that its section names at once, and says for how long that is
good. It has no logger, retry, deadline or cache: the engine wraps every read, once for all stores, reads again from
time to time, and shares one store among all who use an equal `Access`.

    class Drawer(SecretStore[DrawerSpec]):
        async def read(self) -> Values:
            return Values({secret.parameter: await self._open(secret.path) for secret in self.access.spec.secrets})
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from keda_py.scaler import NOBODY, Platform, PodIdentity

ENTRY_POINTS: Final = "keda_py.secret_stores"

Spec = TypeVar("Spec")
"""The model of the manifest's section (keda_py.api.authentication)."""


@dataclass(frozen=True, slots=True)
class Access(Generic[Spec]):
    """How to get into a store and what to read there; equal ones share one store. Values stay out of `repr`.

    `credentials`: what the section refers to in Secrets, by the manifest's own names: ``clientSecret``, ``accessKey``,
    ``accessSecretKey``, ``accessToken``; for Vault ``serviceAccountToken``, where ``credential.serviceAccountName`` is
    given. `pod_identity`: of the section's own ``podIdentity``. `platform`: what the daemon offers, the same for all;
    the engine always gives it.
    """

    spec: Spec
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    pod_identity: PodIdentity = NOBODY
    platform: Platform | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Values:
    """What was read: texts by the trigger's parameter.

    `good_for`: seconds until they end; None if the store does not say. They are read again before that, and every
    minute or so in any case: a store that makes something anew with each read keeps it until it is about to end.
    """

    parameters: Mapping[str, str] = field(repr=False)
    good_for: float | None = None


class SecretStore(ABC, Generic[Spec]):
    """A store that somebody has logged in to: one for each `Access`, read again and again, and closed at last."""

    def __init__(self, access: Access[Spec]) -> None:
        self.access = access

    @abstractmethod
    async def read(self) -> Values:
        """Return everything that the section names.

        Raise `SourceUnavailable` (keda_py.scaler) if the store cannot be reached now: what was read before stays known
        meanwhile. Raise `ScalerError` for any other failure, a secret that is not there among them, saying which
        parameter or path it was and what to do, and never a value.
        """

    async def close(self) -> None:
        """Close what was opened."""
