"""Amounts: bytes as people write them."""

from __future__ import annotations

import math
import re

from ..errors import ArgumentError, ArgumentTypeError

UNITS = {"": 1, "b": 1}
for _i, _letter in enumerate("kmgt", start=1):
    UNITS |= {_letter: 1000**_i, f"{_letter}b": 1000**_i, f"{_letter}ib": 1024**_i}
_AMOUNT = r"\s*([0-9]*\.?[0-9]+|[0-9]+\.)\s*([a-zA-Z]*)\s*"
_HINT = 'such as "512MB", "1.5 GiB" or 300_000_000'


def read_bytes(x, name: str) -> int | None:
    """A number of bytes, given as it is or with a unit; None stays None."""
    if x is None:
        return None
    if isinstance(x, str):
        n = _with_unit(x, name)
    elif isinstance(x, int) and not isinstance(x, bool):
        n = x
    else:
        kind = type(x).__name__
        raise ArgumentTypeError(
            f"compile: {name} must be a number of bytes or a text, got {kind}",
            hint=_HINT,
        )
    if n < 1:
        raise ArgumentError(
            f"compile: {name} must be one byte or more, got {x!r}", hint=_HINT
        )
    return n


def _with_unit(text: str, name: str) -> int:
    found = re.fullmatch(_AMOUNT, text)
    unit = UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ArgumentError(
            f"compile: {name} must be a number with a unit (B, kB, MB, GB, TB, KiB, MiB, "
            f"GiB or TiB), got {text!r}",
            hint=_HINT,
        )
    return math.floor(float(found[1]) * unit)


def shown(n: int) -> str:
    """Bytes in the unit that fits, three figures of them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n} B"
