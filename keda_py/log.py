"""How the daemon logs: to standard error, a line for each decision that changed something, as JSON or for a person."""

import logging
import sys
from typing import Any

import structlog

from keda_py.settings import Settings


def silence_libraries() -> None:
    """Keep to themselves what libraries log: what fails is told by us, once and without secrets."""
    logging.getLogger().addHandler(logging.NullHandler())


def configure(settings: Settings) -> None:
    """Set up logging for the whole process."""
    silence_libraries()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_encoder == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
