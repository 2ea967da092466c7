"""Instructions: which values the code of a function loads, and what it calls with them.

They are followed line by line, with a stack of what is known now without running anything; where
a branch or a loop begins, nothing on it is known any more. Too little is found then, never a
wrong thing.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import os
import types
from typing import Any, NamedTuple

ABSENT: Any = object()  # nothing is known of a value, or nothing is there
_QUIET = ("CACHE", "PRECALL", "NOP", "PUSH_NULL", "EXTENDED_ARG", "RESUME")
_BUILTINS = {id(f): f for f in (globals, vars, getattr, hasattr, setattr)}
_PAIRS = ("BINARY_OP", "COMPARE_OP", "IS_OP")
_SINGLES = ("UNARY", "GET_ITER", "TO_BOOL", "FORMAT", "CONVERT", "LIST_TO_TUPLE")
_CALLS = ("CALL", "CALL_KW")


class Known(NamedTuple):
    """A constant of the code."""

    value: Any


class Walk:
    """Through the code of a function; `found` is told what it reads, and says what is there.

    `names` are its globals, `cells` those of its closure, `local` the arguments that are known.
    """

    def __init__(self, found, names, cells, local):
        self.found, self.names, self.cells, self.local = found, names, cells, local
        self.stack: list = []
        self.keywords: tuple = ()

    def code(self, code) -> None:
        """All of it, and of what is defined in it."""
        for i in dis.get_instructions(code):
            if i.is_jump_target:
                self._forget()
            for name, arg in _single(i.opname, i.argval):
                if name == "KW_NAMES":
                    self.keywords = code.co_consts[i.arg]
                elif name not in _QUIET:
                    self._one(name, arg, i)

    def _one(self, name, arg, i) -> None:
        kind = next((k for k in _KINDS if name.startswith(k)), None)
        if name in _EXACT:
            _EXACT[name](self, arg)
        elif kind is not None:
            _KINDS[kind](self, arg)
        elif name in _PAIRS:
            self._pair(i)
        elif name.startswith(_SINGLES):
            self._pop(1)
            self.stack.append(ABSENT)
        elif name in _CALLS:
            self._call(name, arg)
        else:
            self._forget()

    # ------------------------------------------------------------ the stack

    def _take(self):
        return self.stack.pop() if self.stack else ABSENT

    def _pop(self, count) -> list:
        """So many values, of which something unseen is made: of dicts any item may be read."""
        values = [self._take() for _ in range(count)][::-1]
        for x in values:
            if isinstance(x, dict):
                self.found.whole(x)
        return values

    def _forget(self) -> None:
        self._pop(len(self.stack))

    def _made(self, count) -> None:
        self._pop(count)
        self.stack.append(ABSENT)

    # ------------------------------------------------------------ instructions

    def _constant(self, arg) -> None:
        if isinstance(arg, types.CodeType):
            Walk(self.found, self.names, self.cells, {}).code(arg)
        self.stack.append(Known(arg))

    def _global(self, arg) -> None:
        x = self.found.kept(self.names, arg)
        if x is ABSENT:
            x = _BUILTINS.get(id(getattr(builtins, str(arg), None)), ABSENT)
        self.stack.append(x)

    def _set_global(self, arg) -> None:
        self.found.kept(self.names, arg)
        self._pop(1)

    def _cell(self, arg) -> None:
        cell = self.cells.get(arg)
        known = cell is not None
        self.stack.append(self.found.kept(cell, "cell_contents") if known else ABSENT)

    def _set_cell(self, arg) -> None:
        self._cell(arg)
        self._take()
        self._pop(1)

    def _local(self, arg) -> None:
        known = type(arg) is str
        self.stack.append(self.local.get(arg, ABSENT) if known else ABSENT)

    def _set_local(self, arg) -> None:
        x = self._take()
        self.local[arg] = ABSENT if isinstance(x, (Known, dict)) else x
        if isinstance(x, dict):
            self.found.whole(x)

    def _attribute(self, arg) -> None:
        x = self._take()
        self.stack.append(self.found.attribute(x, arg))

    def _set_attribute(self, arg) -> None:
        self.found.attribute(self._take(), arg)
        self._pop(1)

    def _item(self, arg) -> None:
        key, x = self._take(), self._take()
        self.stack.append(self._item_of(x, key))

    def _set_item(self, arg) -> None:
        key, x = self._take(), self._take()
        self._item_of(x, key)
        self._pop(1)

    def _item_of(self, x, key):
        if x is os.environ:
            self._environment(key)
        elif isinstance(x, dict):
            known = isinstance(key, Known)
            return self.found.kept(x, key.value) if known else self.found.whole(x)
        return ABSENT

    def _copy(self, arg) -> None:
        self.stack.append(self.stack[-arg] if arg <= len(self.stack) else ABSENT)

    def _swap(self, arg) -> None:
        if arg > len(self.stack):
            self._forget()
        else:
            s = self.stack
            s[-1], s[-arg] = s[-arg], s[-1]

    def _pair(self, i) -> None:
        if i.argrepr == "[]":  # an item, from Python 3.14 on
            self._item(None)
        else:
            self._made(2)

    def _contains(self, arg) -> None:
        x, key = self._take(), self._take()
        if x is os.environ:
            self._environment(key)
        elif isinstance(x, dict):
            self.found.whole(x)
        self.stack.append(ABSENT)

    # ------------------------------------------------------------ calls

    def _call(self, name, count) -> None:
        if name == "CALL_KW":
            names = self._take()
            self.keywords = names.value if isinstance(names, Known) else ()
        keywords, self.keywords = self.keywords, ()
        args = [self._take() for _ in range(count)][::-1]
        f = self._take()
        plain = args[: count - len(keywords)]
        named = dict(zip(keywords, args[count - len(keywords) :], strict=True))
        self.stack.append(self._result(f, plain, named))
        for x in args:
            if isinstance(x, dict):
                self.found.whole(x)

    def _result(self, f, args, named):
        """What a call gives, if that is known; what it reads is found."""
        if f is globals and not args:
            return self.names
        if f is vars and len(args) == 1:
            own = getattr(args[0], "__dict__", None)
            return own if type(own) is dict and args[0] is not ABSENT else ABSENT
        key = args[1] if len(args) > 1 else None
        if isinstance(key, Known) and type(key.value) is str and has_own(args[0]):
            return self.found.attribute(args[0], key.value)  # getattr(x, "name")
        if args and (f is os.getenv or getattr(f, "__self__", None) is os.environ):
            self._environment(args[0])
        else:
            self._called(f, [_value(x) for x in args], named)
        return ABSENT

    def _called(self, f, args, named) -> None:
        """What a function, an object that is one, or the making of an object reads."""
        named = {k: _value(x) for k, x in named.items()}
        known = any(x is not ABSENT for x in (*args, *named.values()))
        if isinstance(f, type):
            f, args = f.__init__, [ABSENT, *args]
            known = isinstance(f, types.FunctionType)
        elif not isinstance(f, _FUNCTIONS):
            call = inspect.getattr_static(type(f), "__call__", None)
            if callable(getattr(f, "modules", None)):  # its own reads are known
                call = getattr(type(f), "forward", None)
            else:
                known = f is not ABSENT
            f, args = call, [f, *args]
            known = known and isinstance(call, types.FunctionType)
        if known:
            self.found.function(f, tuple(args), named)

    def _environment(self, key) -> None:
        """A variable of the environment, which lies in a dict of its own."""
        data = getattr(os.environ, "_data", None)
        if isinstance(key, Known) and type(key.value) is str and type(data) is dict:
            self.found.kept(data, os.environ.encodekey(key.value), comes=True)


_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_EXACT = {
    "LOAD_GLOBAL": Walk._global,
    "LOAD_NAME": Walk._global,
    "STORE_GLOBAL": Walk._set_global,
    "LOAD_DEREF": Walk._cell,
    "STORE_DEREF": Walk._set_cell,
    "STORE_FAST": Walk._set_local,
    "LOAD_ATTR": Walk._attribute,
    "LOAD_METHOD": Walk._attribute,
    "STORE_ATTR": Walk._set_attribute,
    "BINARY_SUBSCR": Walk._item,
    "STORE_SUBSCR": Walk._set_item,
    "CONTAINS_OP": Walk._contains,
    "COPY": Walk._copy,
    "SWAP": Walk._swap,
    "POP_TOP": lambda self, arg: self._take(),
    "RETURN_VALUE": lambda self, arg: self._pop(1),
    "BUILD_MAP": lambda self, arg: self._made(2 * arg),
    "BUILD_CONST_KEY_MAP": lambda self, arg: self._made(arg + 1),
    "BINARY_SLICE": lambda self, arg: self._made(3),
    "MAKE_FUNCTION": lambda self, arg: self._forget(),
}
_KINDS = {
    "LOAD_CONST": Walk._constant,
    "LOAD_SMALL_INT": Walk._constant,
    "LOAD_FAST": Walk._local,
    "BUILD_": Walk._made,
}


def _single(name, arg):
    """The instructions of which one is made."""
    if type(arg) is tuple and "FAST" in name and len(arg) == 2:
        parts = name.replace("_BORROW", "").split("_")
        return [("_".join(parts[:2]), arg[0]), ("_".join(parts[2:]), arg[1])]
    return [(name, arg)]


def _value(x):
    """An argument that a function may read parts of."""
    return ABSENT if isinstance(x, Known) else x


def has_own(x) -> bool:
    """Whether it is an object that keeps attributes."""
    return type(getattr(x, "__dict__", None)) is dict and not isinstance(x, type)
