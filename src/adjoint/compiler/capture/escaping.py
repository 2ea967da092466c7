"""Escaping: what leaves a call by ways that no program has, in results or elsewhere."""

from __future__ import annotations

import gc
import sys
import types

from ...core.bind import Box
from ...errors import TraceError
from ...ir.tracer import Tracer
from .unfit import Unfit

_ELSEWHERE = type, types.ModuleType, types.CodeType
_CONSTANT = *_ELSEWHERE, slice, types.FunctionType, types.BuiltinFunctionType
FAR = 10_000  # objects that are looked at


def need_values(results, level) -> None:
    """Results that are no tensors are the same in each call: nothing of this one is in them."""
    new = _new(results)
    for x in results:
        if _keeps(x, level):
            raise Unfit(
                f"it returns a {type(x).__name__} with tensors in it; in a tuple, a named "
                "tuple, a list, a dict or a data class they can be results of a program"
            )
    for x in new:
        if not _is_value(x):
            raise Unfit(
                f"it makes a {type(x).__name__} in each call and returns it; return what was "
                "there before, or tensors and numbers"
            )


def _new(results) -> list:
    """Those that nobody else refers to, as they refer to what `results` alone has.

    Something that is kept elsewhere has one more reference than that, at least.
    """
    *counts, alone = map(sys.getrefcount, [*results, object()])
    return [x for x, n in zip(results, counts, strict=True) if n <= alone + 1]


def _is_value(x) -> bool:
    """Whether another that is equal does as well: it cannot be changed, or nobody does."""
    kind = type(x)
    by_value = kind.__eq__ is not object.__eq__ and kind.__hash__ is not None
    return by_value or x is None or isinstance(x, _CONSTANT)


def _keeps(x, level) -> bool:
    """Whether there is a way from an object to a value of the program; not by globals."""
    seen, todo = set(), [x]
    while todo and len(seen) < FAR:
        x = todo.pop()
        if isinstance(x, Tracer) and x.level is level:
            return True
        if id(x) in seen or not gc.is_tracked(x) or isinstance(x, _ELSEWHERE):
            continue
        seen.add(id(x))
        own = type(x) is not types.FunctionType
        todo += gc.get_referents(x) if own else (x.__closure__, x.__defaults__)
    return False


def need_no_leak(level, made) -> None:
    """No value of the program may be kept where the program does not put it.

    What an object of this call had, such as an optimizer made inside, is not compared later.
    """
    level.forget()
    if any(r() is not None for r in level.made):
        made.seen = [s for s in made.seen if not _keeps(s.mapping, level)]
        gc.collect()
    for r in level.made:
        x = r()
        if x is not None:
            raise TraceError(
                f"a value of shape {list(x.shape)} was kept {_where(x)}: it has no numbers "
                "yet, and the program does not put them there",
                hint="return it; or write it into a tensor that is there before the call, "
                "with copy_",
            )


def _where(x) -> str:
    """Who keeps a value, as far as that can be told."""
    boxes = [b for b in gc.get_referrers(x) if isinstance(b, Box)]
    for box in boxes:
        for keeper in gc.get_referrers(box):
            if isinstance(keeper, (list, dict, tuple, set)) and keeper is not boxes:
                return f"in a {type(keeper).__name__} of {len(keeper)}"
            if isinstance(getattr(keeper, "__dict__", None), dict):
                return f"by a {type(keeper).__name__}"
    return "outside"
