"""Unfit: why a call has no program, and runs as it is written."""

from __future__ import annotations


class Unready(Exception):
    """State that the program would work on was made by this call, which the text names: the
    next one may have one."""


class Unfit(Exception):
    """The function does what no program can: it always runs as written."""
