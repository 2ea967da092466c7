"""`adjoint demo`."""

from __future__ import annotations

import sys
from pathlib import Path

from ..demo import main
from ..train import Lines

DONE, INTERRUPTED = 0, 130


def demo(given):
    """Take a function apart, train a network, write the report."""
    Path(given.out).mkdir(parents=True, exist_ok=True)
    if given.json:  # standard output is for the answer
        answer = main(given.out, given.epochs, Lines(sys.stderr), say=_aside)
    else:
        answer = main(given.out, given.epochs)
    return INTERRUPTED if answer["interrupted"] else DONE, answer, ""


def _aside(words):
    print(words, file=sys.stderr)
