"""What the command line's flags take besides click's own: durations and addresses as Go writes them, and the like."""

from datetime import timedelta
from typing import Any, Final

import click

from keda_py.duration import DurationError, parse_go_duration
from keda_py.settings import Address


class DurationType(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def __init__(self, shortest: timedelta = timedelta.resolution, longest: timedelta = timedelta.max) -> None:
        self._shortest = shortest
        self._longest = longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            found = parse_go_duration(value)
        except DurationError:
            self.fail(f"{value!r} is not a duration such as 15s or 1m30s", param, ctx)
        if found <= timedelta(0):
            self.fail(f"{value!r} must be longer than nothing", param, ctx)
        if not self._shortest <= found <= self._longest:
            self.fail(f"{value!r} must be from {self._shortest} to {self._longest}", param, ctx)
        return found


class AddressType(click.ParamType):  # type: ignore[type-arg]
    """``:8080``, ``127.0.0.1:8080``, ``[::1]:8080``; ``0`` for not at all, as controller-runtime has it."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        if value == "0":
            return None
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  the last port
            self.fail(f"{value!r} is not an address such as :8080 or 127.0.0.1:8080; 0 turns it off", param, ctx)
        return Address(host.strip("[]"), int(port))


class LevelType(click.ParamType):  # type: ignore[type-arg]
    """zap's names of log levels; its numbers are ever more than debug."""

    name = "level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        levels = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error"}
        if value in levels:
            return levels[value]
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is not one of {', '.join(levels)}, or a number from 1", param, ctx)
        return "debug"


class CiphersType(click.ParamType):  # type: ignore[type-arg]
    """Go's names of TLS 1.2 cipher suites, separated by ``:`` or ``,``, as OpenSSL's."""

    name = "ciphers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        names = [name.strip() for name in str(value).replace(",", ":").split(":") if name.strip()]
        if unknown := [name for name in names if name not in _GO_CIPHERS and name not in _GO_CIPHERS.values()]:
            self.fail(f"unknown cipher suites {', '.join(unknown)}; known are {', '.join(_GO_CIPHERS)}", param, ctx)
        return ":".join(_GO_CIPHERS.get(name, name) for name in names)


_GO_CIPHERS: Final = {
    f"TLS_ECDHE_{key}_WITH_{ours}": f"ECDHE-{key}-{theirs}"
    for key in ("ECDSA", "RSA")
    for ours, theirs in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_CBC_SHA256", "AES128-SHA256"),
    )
}
