"""Texts that must not show, each one of a kind and known by what it was planted as; and finding them in any form."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST_ENCODED: Final = 12
"""What is shorter leaves too little of it in base64 to be told from anything else."""
_BEGINNING: Final = "cnry"


def _base64(text: str) -> Iterator[str]:
    """Yield what base64 makes of a text in the middle of others, without its ends, which depend on these."""
    for shift in range(3):
        # It is another text for each place modulo three that a thing begins at.
        yield base64.b64encode(b"x" * shift + text.encode()).decode()[4 if shift else 0 : -4]


_MARKS: Final = {
    _BEGINNING,
    # What base64 makes of the beginning at each place modulo three, as far as nothing beside it counts.
    *(
        base64.b64encode(b"x" * shift + _BEGINNING.encode()).decode()[-(-shift * 8 // 6) : (shift + 4) * 8 // 6]
        for shift in range(3)
    ),
}


@dataclass
class Canaries:
    """Texts that must not show, and what each was planted as."""

    planted: dict[str, str] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    """Those that stand in a manifest, which describes itself with all that it says."""

    _marks: set[str] = field(default_factory=lambda: set(_MARKS))
    """Without one of these a text has none of them: most texts are passed over quickly."""

    def hatch(self, where: str) -> str:
        """Return a new one: letters and digits, which no way of writing it down changes but base64."""
        made = f"{_BEGINNING}{hashlib.sha256(where.encode()).hexdigest()[:20]}"
        self.planted[made] = where
        return made

    def plant(self, where: str, text: str) -> str:
        """Let a text that is given, such as a line of a key, be one."""
        if text not in self.planted:
            self.planted[text] = where
            self._marks.update(self._forms(text))
        return text

    def plant_key(self, where: str, pem: str) -> str:
        """Let a private key be one, by a line in its middle: how one begins is no secret."""
        lines = [line for line in pem.splitlines() if not line.startswith("-")]
        self.plant(where, lines[len(lines) // 2])
        return pem

    def seen_in(self, text: str) -> list[str]:
        """Return what shows in a text, be it as it is or encoded, alone or between other things."""
        if not any(mark in text for mark in self._marks):
            return []
        planted = self.planted.items()
        return sorted({where for canary, where in planted for form in self._forms(canary) if form in text})

    @staticmethod
    def _forms(text: str) -> set[str]:
        plain = {text, quote(text, safe=""), quote_plus(text)}
        return plain if len(text) < SHORTEST_ENCODED else plain | set(_base64(text))
