"""How patient tests are that run brokers and the engine together; the machine may be slow, and it says nothing."""

from datetime import timedelta
from typing import Final

PATIENCE: Final = timedelta(seconds=20)
"""How long a broker may take for an answer where its silence is not the point."""
WAIT_SECONDS: Final = 180.0
OUTAGE_SECONDS: Final = 15.0
"""Several polls, and several times as long as targets stay awake without a reason."""
