"""Files of further authorities that connections trust: looked at before the daemon starts, read for each connection."""

import ssl
from collections.abc import Iterable
from pathlib import Path


class AuthorityError(ValueError):
    """A file that is to have certificates and has none; the text names it and says what to do."""


def trust(context: ssl.SSLContext, paths: Iterable[str]) -> None:
    """Let a context trust the certificates in files, and in the files of folders; what is not there is passed over.

    Raise `AuthorityError` naming the first file that has none in PEM form.
    """
    for path in map(Path, paths):
        try:
            files = sorted(path.iterdir()) if path.is_dir() else [path]
        except OSError:
            raise AuthorityError(f"{path}: the folder cannot be read; let the daemon's user read it") from None
        for file in files:
            if file.is_file():
                _trust_file(context, file)


def _trust_file(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(file))
    except ssl.SSLError:
        raise AuthorityError(f"{file}: no certificate in PEM form; put one there, or remove the file") from None
    except OSError:
        raise AuthorityError(f"{file}: cannot be read; let the daemon's user read it, or remove the file") from None
