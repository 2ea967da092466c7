"""Looking into functions as they run: printed values and checked conditions."""

from __future__ import annotations

import itertools
import re
import string

from ..core.bind import Box
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, show_site, user_site
from .effects import happen, shown

__all__ = ["check", "print"]


def print(fmt, *values, **named):
    """Print `fmt.format(*values, **named)` each time it is reached, in compiled functions too.

    Under vmap the values of all examples are shown as one tensor; in a branch or a loop there,
    of those that take it. The program that `trace` shows is what is computed alone: running it
    prints nothing, and checks nothing.

    >>> f = compile(lambda x: (debug.print("x = {}, twice {y:.1f}", x, y=x * 2), x + 1)[1])
    >>> f(tensor(1.)), f(tensor(2.))
    x = 1.0, twice 2.0
    x = 2.0, twice 4.0
    (tensor(2.), tensor(3.))
    """
    if not isinstance(fmt, str):
        fmt, values = "{}", (fmt, *values)
    fmt, values = _numbered(fmt, values, named)
    happen(op.printed, (), _filled(fmt, values), values)


def check(condition, message="this does not hold", *values, **named):
    """Raise a CheckError that says `message.format(*values, **named)` unless `condition` holds.

    A condition of several elements must hold for all. Where it fails in a compiled function,
    the call has changed nothing, not even what is written before the check. Under vmap it must
    hold for all examples; in a branch or a loop there, for those that take it.

    >>> debug.check(tensor(2.) > 1, "too small")
    >>> try:
    ...     debug.check(tensor(0.) > 1, "{} is too small", tensor(0.))
    ... except RuntimeError as error:
    ...     print(str(error).splitlines()[0])
    0.0 is too small
    """
    if not isinstance(message, str):
        raise ArgumentTypeError(f"check: message must be a string, got {message!r}")
    message, values = _numbered(message, values, named)
    held = condition if isinstance(condition, Box) else shown(bool(condition))
    where = show_site(user_site())
    happen(
        op.checked,
        (held.detach(),),
        {**_filled(message, values), "where": where},
        values,
    )


def _numbered(text, values, named):
    """(the text, all values): those that have names are taken by their number."""
    if not named:
        return text, values
    number = {name: i for i, name in enumerate(named, len(values))}
    count, parts = itertools.count(), []
    for literal, field, spec, conversion in string.Formatter().parse(text):
        parts.append(literal.replace("{", "{{").replace("}", "}}"))
        if field is not None:
            name = re.match(r"[^.\[]*", field)[0]  # type: ignore
            i = number.get(name, name) if name else next(count)
            how = (f"!{conversion}" if conversion else "") + (
                f":{spec}" if spec else ""
            )
            parts.append(f"{{{i}{field[len(name) :]}{how}}}")
    return "".join(parts), (*values, *named.values())


def _filled(text, values) -> dict:
    """The parameters of an effect: the text, and those values that are no tensors."""
    others = tuple([None if isinstance(x, Box) else _plain(x) for x in values])
    try:
        text.format(*(shown(0) if x is None else x for x in others))
    except (IndexError, KeyError) as error:
        raise ArgumentError(
            f"debug: {text!r} does not fit {len(others)} values: {error}"
        ) from None
    except (TypeError, ValueError):
        pass  # a format of the value itself
    return {"text": text, "others": others}


def _plain(x):
    return x if type(x) in (int, float, bool, str) else str(x)
