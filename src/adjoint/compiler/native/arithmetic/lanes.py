"""Lanes: what a record's `lower(b, x, ...)` speaks."""

from __future__ import annotations

from .division import Division
from .floating import Floating
from .gaussian import Gaussian
from .special import Special


class Lanes(Special, Gaussian, Division, Floating):
    """Arithmetic and functions on vectors of one width, at a builder's place."""
