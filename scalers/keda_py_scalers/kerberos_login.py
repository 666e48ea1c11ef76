"""One SASL GSSAPI login: a program that the daemon starts for each, and ends when its time is up (kafka_kerberos).

MIT Kerberos takes its configuration from the environment of its process, and waits for a KDC as long as that takes. In
a process to itself it may: nobody else's login waits behind it, and tickets are in no other's memory and on no disk.

Lines of JSON go in and out: first who to be and to which service, then what the service says and what to say to it.
Imports nothing of ours: it starts in the time that a connection takes.
"""

import base64
import json
import sys
from typing import Any, Final

import gssapi

NO_LAYER: Final = 1
"""To be authenticated and no more: what follows is not wrapped (RFC 4752, 3.1)."""


def main() -> None:
    """Log in once; a failure goes out as Kerberos' code for it, whose texts may repeat what is secret."""
    try:
        _log_in(json.loads(sys.stdin.readline()))
    except gssapi.exceptions.GSSError as error:
        _say(error=error.min_code)
    except (EOFError, ValueError, IndexError):
        _say(error=0)


def _log_in(who: dict[str, str]) -> None:
    service = gssapi.Name(who["service"], name_type=gssapi.NameType.hostbased_service)
    context = gssapi.SecurityContext(name=service, creds=_credentials(who), usage="initiate")
    heard = None
    while not context.complete:
        _say(token=_text(context.step(heard) or b""))
        heard = _heard()
    offered = context.unwrap(heard).message
    # No name follows: we are whom the ticket is for.
    chosen = bytes([NO_LAYER & offered[0], 0, 0, 0])
    _say(token=_text(context.wrap(chosen, encrypt=False).message), last=True)


def _credentials(who: dict[str, str]) -> Any:
    name = gssapi.Name(who["principal"], name_type=gssapi.NameType.kerberos_principal)
    if keytab := who.get("keytab"):
        return gssapi.Credentials(name=name, usage="initiate", store={"client_keytab": keytab, "ccache": "MEMORY:"})
    mechanisms = [gssapi.MechType.kerberos]
    password = who["password"].encode(errors="surrogateescape")
    given = gssapi.raw.acquire_cred_with_password(name, password, mechs=mechanisms, usage="initiate")
    return gssapi.Credentials(given.creds)


def _heard() -> bytes:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return base64.b64decode(json.loads(line)["token"])


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _text(token: bytes) -> str:
    return base64.b64encode(token).decode()


if __name__ == "__main__":
    main()
