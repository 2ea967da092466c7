"""Log: what is said of programs by Python's `logging`, which is imported for a warning alone.

Whoever hears more than warnings has imported it. Without it a process starts 4 ms sooner.
"""

from __future__ import annotations

import sys

from .late import logging

NAME = "adjoint.compiler"


def warning(text: str, *parts) -> None:
    """Something that goes otherwise than was asked."""
    logging.getLogger(NAME).warning(text, *parts, stacklevel=2)


def info(text: str, *parts) -> None:
    """Something that is as it should be."""
    if "logging" in sys.modules:
        logging.getLogger(NAME).info(text, *parts, stacklevel=2)


def debug(text: str, *parts) -> None:
    """Something that hardly anybody wants to know."""
    if "logging" in sys.modules:
        logging.getLogger(NAME).debug(text, *parts, stacklevel=2)
