"""What the secret stores of clouds have in common: everything of a section is read at once, or told in one sentence."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, TypeVar

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py.secret_store import Access, Values

Place = TypeVar("Place", bound=Hashable)
Content = TypeVar("Content")

MOST_AT_ONCE: Final = 8
"""How many secrets of a section are asked for at once: stores bound how much is asked of them."""


def platform_of(access: Access[Any]) -> Platform:
    """Return what the daemon offers; the engine always gives it."""
    if access.platform is None:
        raise TypeError("a store is opened by the engine, which gives its platform")
    return access.platform


def names_fit(names: Mapping[str, str], pattern: str) -> None:
    """Raise `ScalerError` if a name is not made as the store makes them: put into a URL it could lead elsewhere."""
    wrong = [what for what, name in names.items() if not re.fullmatch(pattern, name)]
    if wrong:
        raise ScalerError(f"{', '.join(wrong)} is no such name as the store gives; correct it")


async def read_each(
    places: Mapping[str, Place],
    read: Callable[[Place], Awaitable[Content]],
    *,
    text: Callable[[str, Content], str],
    called: Callable[[Place], str],
) -> Values:
    """Return the texts of all parameters, each place read once for all parameters that are in it.

    `places`: where each parameter is. `text`: makes a parameter's text of what was read. `called`: how a message calls
    a place. Raise `SourceUnavailable` if nothing worse happened than that the store could not be asked, else
    `ScalerError`; either names each parameter that was not read, and its place.
    """
    room = asyncio.Semaphore(MOST_AT_ONCE)

    async def one(place: Place) -> Content:
        async with room:
            return await read(place)

    distinct = list(dict.fromkeys(places.values()))
    answers = await asyncio.gather(*(one(place) for place in distinct), return_exceptions=True)
    found = dict(zip(distinct, answers, strict=True))
    parameters: dict[str, str] = {}
    failures: dict[str, ScalerError] = {}
    for parameter, place in places.items():
        content = found[place]
        if isinstance(content, BaseException) and not isinstance(content, ScalerError):
            raise content
        try:
            parameters[parameter] = _said(content, parameter, text)
        except ScalerError as failure:
            failures[f"{parameter} ({called(place)})"] = failure
    if failures:
        raise _together(failures)
    return Values(parameters)


def _said(content: Any, parameter: str, text: Callable[[str, Any], str]) -> str:
    if isinstance(content, ScalerError):
        raise content
    said = text(parameter, content)
    if not said:
        raise ScalerError("it is empty; store a value")
    return said


def _together(failures: Mapping[str, ScalerError]) -> ScalerError:
    said: dict[str, list[str]] = {}
    for what, failure in failures.items():
        said.setdefault(str(failure), []).append(what)
    text = "; ".join(f"{', '.join(what)}: {why}" for why, what in said.items())
    away = all(isinstance(failure, SourceUnavailable) for failure in failures.values())
    return SourceUnavailable(text) if away else ScalerError(text)
