"""Files of further authorities that connections trust: looked at before the daemon starts, read for each connection.

A path that is named must have certificates. What else lies in a folder is passed over, as KEDA does: folders are what
is mounted, with a README beside the certificates maybe, and a file put there later must not blind every trigger.
"""

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path


class AuthorityError(ValueError):
    """What is named cannot be used; the text names it and says what to do."""


def check(paths: Iterable[str]) -> list[str]:
    """Return a sentence about each file that is passed over; raise `AuthorityError` as `trust` does."""
    return list(_trusting(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), paths))


def trust(context: ssl.SSLContext, paths: Iterable[str]) -> None:
    """Let a context trust the certificates in files, and in the files of folders; what is not there is passed over.

    Raise `AuthorityError` naming the first path that is a folder and cannot be read, or a file without any in PEM form.
    """
    for _ in _trusting(context, paths):
        pass


def _trusting(context: ssl.SSLContext, paths: Iterable[str]) -> Iterator[str]:
    for path in map(Path, paths):
        if not path.is_dir():
            if path.is_file() and (problem := _problem(context, path)) is not None:
                raise AuthorityError(problem)
            continue
        try:
            files = sorted(path.iterdir())
        except OSError:
            raise AuthorityError(f"{path}: the folder cannot be read; let the daemon's user read it") from None
        yield from filter(None, (_problem(context, file) for file in files if file.is_file()))


def _problem(context: ssl.SSLContext, file: Path) -> str | None:
    try:
        context.load_verify_locations(cafile=str(file))
    except ssl.SSLError:
        return f"{file}: no certificate in PEM form; put one there, or remove the file"
    except OSError:
        return f"{file}: cannot be read; let the daemon's user read it, or remove the file"
    return None
