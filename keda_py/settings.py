"""What the daemon can be told, with KEDA's names and defaults; filled by the command line and the environment.

The source of the names: KEDA's cmd/operator/main.go, and pkg/util/env_resolver.go.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of ``keda-py run``."""

    kubeconfig: str = ""
    watch_namespaces: tuple[str, ...] = ()
    watch_label_selector: str = ""
    reconciles: int = 20
    http_timeout: timedelta = timedelta(milliseconds=3000)
    log_level: str = "info"
    log_encoder: str = "console"
