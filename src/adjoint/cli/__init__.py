"""What the commands do. Their words and arguments are in `adjoint_cli`."""

from __future__ import annotations

import math
from typing import Any

from ..errors import AdjointError
from .demonstration import demo
from .expression import UsageError, check, grad
from .information import info, version
from .programs import cache
from .training import train

COMMANDS = {
    "cache": cache,
    "check": check,
    "demo": demo,
    "grad": grad,
    "info": info,
    "train": train,
    "version": version,
}
FAILED, USAGE = 1, 2


def run(given) -> tuple[int, dict, str]:
    """(exit code, answer for JSON, text for people) of a command."""
    try:
        code, answer, text = COMMANDS[given.command](given)
    except RecursionError:
        words, code = "the expression is nested too deeply", USAGE
        return code, {"error": words}, f"adjoint {given.command}: error: {words}"
    except (AdjointError, OSError) as error:
        words, code = said(error), USAGE if isinstance(error, UsageError) else FAILED
        return code, {"error": words}, f"adjoint {given.command}: error: {words}"
    return code, plain(answer), text


def said(error: Exception) -> str:
    """The rule and the hint of an error, without the line of a program nobody wrote."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = str(error).split("\n")
    return "\n".join(line for line in lines if not line.startswith("  in "))


def plain(x) -> Any:
    """Numbers that JSON has no word for as text: "nan", "inf", "-inf".

    >>> from adjoint.cli import plain
    >>> plain({"a": [1.0, nan]})
    {'a': [1.0, 'nan']}
    """
    if isinstance(x, dict):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    return str(x) if isinstance(x, float) and not math.isfinite(x) else x
