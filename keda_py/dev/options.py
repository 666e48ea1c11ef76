"""What `keda-py dev` can be told."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

PORT: Final = 7443
WARNING: Final = "for trying and testing, not for production"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``keda-py dev``; `duration` of None is until told to stop, `port` of 0 is any that is free."""

    files: tuple[Path, ...] = ()
    port: int = PORT
    data: Path | None = None
    processes: bool = False
    hpa_sync: timedelta = timedelta(seconds=15)
    plain: bool = False
    duration: timedelta | None = None
