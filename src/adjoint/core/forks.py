"""Forks: processes that go on as copies of this one. Windows has none."""

from __future__ import annotations

import os
from collections.abc import Callable


def possible() -> bool:
    """Whether this system has them."""
    return hasattr(os, "register_at_fork")


def at_fork(**calls: Callable[[], object]) -> None:
    """Call these `before` each fork, `after_in_parent` or `after_in_child`."""
    if possible():
        os.register_at_fork(**calls)
