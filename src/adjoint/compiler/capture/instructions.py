"""Instructions: which values the code of a function loads, and what it calls with them.

They are followed line by line, with a stack of what is known now without running anything; where
a branch begins, nothing on it is known any more. Too little is found then, never a wrong thing.
What a loop goes through, or has a key that is not known, is any of several values.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import os
import sys
import types
from typing import Any, NamedTuple

ABSENT: Any = object()  # nothing is known of a value, or nothing is there
_QUIET = ("CACHE", "PRECALL", "NOP", "PUSH_NULL", "EXTENDED_ARG", "RESUME")
_THROUGH = (enumerate, zip, next, map, filter, reversed, list, tuple, sorted, iter, set)
_BUILTINS = {id(f): f for f in (globals, vars, getattr, hasattr, setattr, *_THROUGH)}
_OF_DICTS = ("items", "values", "get", "pop", "setdefault")
_PLAIN = (int, float, complex, str, bytes, type(None))  # nothing is read of them


class Known(NamedTuple):
    """A constant of the code."""

    value: Any


class Several:
    """Any of these values; `one_of` makes it."""

    def __init__(self, values):
        self.values = values


class Through:
    """What a loop goes through: these values, one after the other."""

    def __init__(self, values):
        self.values = values


class Method(NamedTuple):
    """A method of a dict."""

    owner: Any
    name: str


class Local(NamedTuple):
    """A function that the code defines, in the walk through that code."""

    code: types.CodeType
    walk: Any


def one_of(values):
    """Any of these, as far as something can be read of them."""
    found: dict = {}
    for x in values:
        for y in _all(x):
            if y is not ABSENT and not isinstance(y, (Known, *_PLAIN)):
                found[id(y)] = y
    several = tuple(found.values())
    return Several(several) if len(several) > 1 else next(iter(several), ABSENT)


def identity(x):
    """A key that tells known values apart, whether or not they are kept anywhere."""
    if isinstance(x, (Several, Through)):
        return type(x), *map(identity, x.values)
    return tuple(map(identity, x)) if type(x) is tuple else id(x)


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
            if i.is_jump_target and not self._is_loop(i):
                self._forget()
            for name, arg in _simple(i):
                if name == "KW_NAMES":
                    self.keywords = code.co_consts[i.arg]
                elif name not in _QUIET:
                    _followed(name)(self, arg)

    def _is_loop(self, i) -> bool:
        """Whether a loop begins, of which what it goes through is known."""
        top = self.stack[-1] if self.stack else None
        return i.opname == "FOR_ITER" and isinstance(top, Through)

    # ------------------------------------------------------------ the stack

    def _take(self):
        return self.stack.pop() if self.stack else ABSENT

    def _pop(self, count) -> list:
        """So many values, of which something unseen is made."""
        values = [self._take() for _ in range(count)][::-1]
        for x in values:
            self._escapes(x)
        return values

    def _escapes(self, x) -> None:
        """It is handed on: of dicts any item may be read."""
        for y in _all(x):
            if isinstance(y, dict):
                self.found.whole(y)

    def _forget(self, arg=None) -> None:
        """Nothing on the stack is known any more."""
        self._pop(len(self.stack))

    def _made(self, count) -> None:
        self._pop(count)
        self.stack.append(ABSENT)

    def _row(self, count) -> None:
        self.stack.append(tuple(self._pop(count)))

    def _each(self, x, f):
        """What f gives for it, or for each of several."""
        return one_of(map(f, x.values)) if isinstance(x, Several) else f(x)

    def _items(self, x) -> tuple:
        """What a loop over it goes through, as far as that is known."""
        if isinstance(x, Several):
            return tuple(y for each in x.values for y in self._items(each))
        if isinstance(x, Through):
            return x.values
        return self.found.items(x)

    # ------------------------------------------------------------ instructions

    def _constant(self, arg) -> None:
        if isinstance(arg, types.CodeType):
            self.inside(arg, {})
        self.stack.append(Known(arg))

    def inside(self, code, local) -> None:
        """Through the code of a function that is defined in this one."""
        outer = {k: self.local[k] for k in code.co_freevars if k in self.local}
        Walk(self.found, self.names, self.cells, outer | local).code(code)

    def _function(self, flags) -> None:
        code = self._take()
        self._pop(flags.bit_count() if sys.version_info < (3, 13) else 0)
        known = isinstance(code, Known) and isinstance(code.value, types.CodeType)
        self.stack.append(Local(code.value, self) if known else ABSENT)

    def _function_attribute(self, arg) -> None:
        f = self._take()
        self._pop(1)
        self.stack.append(f)

    def _iterator(self, arg) -> None:
        self.stack.append(Through(self._items(self._take())))

    def _next(self, arg) -> None:
        top = self.stack[-1] if self.stack else ABSENT
        self.stack.append(one_of(top.values) if isinstance(top, Through) else ABSENT)

    def _unpack(self, count) -> None:
        x = self._take()
        rows = [r for r in map(self._items, _all(x)) if len(r) == count]
        columns = [one_of(column) for column in zip(*rows, strict=True)]
        self.stack += columns[::-1] or [ABSENT] * count

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
        if cell is None:
            self._local(arg)
        else:
            self.stack.append(self.found.kept(cell, "cell_contents"))

    def _set_cell(self, arg) -> None:
        if arg not in self.cells:
            return self._set_local(arg)
        self._cell(arg)
        self._take()
        self._pop(1)

    def _local(self, arg) -> None:
        known = type(arg) is str
        self.stack.append(self.local.get(arg, ABSENT) if known else ABSENT)

    def _set_local(self, arg) -> None:
        x = self._take()
        self.local[arg] = ABSENT if isinstance(x, Known) else x
        self._escapes(x)

    def _attribute(self, arg) -> None:
        self.stack.append(self._attribute_of(self._take(), arg))

    def _attribute_of(self, x, name):
        found = self._each(x, lambda y: self.found.attribute(y, name))
        return Method(x, name) if name in _OF_DICTS and _is_dict(x) else found

    def _set_attribute(self, arg) -> None:
        self._attribute_of(self._take(), arg)
        self._pop(1)

    def _item(self, arg) -> None:
        key, x = self._take(), self._take()
        self.stack.append(self._item_of(x, key))

    def _slice(self, count) -> None:
        self._pop(count)
        self.stack.append(Known(slice(None)))

    def _part(self, arg) -> None:
        self._pop(2)
        self.stack.append(self._items(self._take()))

    def _set_item(self, arg) -> None:
        key, x = self._take(), self._take()
        self._item_of(x, key)
        self._pop(1)

    def _item_of(self, x, key):
        if x is os.environ:
            self._environment(key)
        elif isinstance(x, Several):
            return self._each(x, lambda y: self._item_of(y, key))
        elif isinstance(x, dict):
            if not isinstance(key, Known):
                return self.found.whole(x)
            return self.found.kept(x, key.value, comes=True)
        return _at(self._items(x), key.value if isinstance(key, Known) else None)

    def _copy(self, arg) -> None:
        self.stack.append(self.stack[-arg] if arg <= len(self.stack) else ABSENT)

    def _swap(self, arg) -> None:
        if arg > len(self.stack):
            self._forget()
        else:
            s = self.stack
            s[-1], s[-arg] = s[-arg], s[-1]

    def _contains(self, arg) -> None:
        x, key = self._take(), self._take()
        if x is os.environ:
            self._environment(key)
        self._escapes(x)
        self.stack.append(ABSENT)

    # ------------------------------------------------------------ calls

    def _call_by_names(self, count) -> None:
        names = self._take()
        self.keywords = names.value if isinstance(names, Known) else ()
        self._call(count)

    def _call(self, count) -> None:
        keywords, self.keywords = self.keywords, ()
        args = [self._take() for _ in range(count)][::-1]
        f = self._take()
        if isinstance(f, Through) and self.stack and isinstance(self.stack[-1], Local):
            # A comprehension, and what it goes through.
            f, args, count = self._take(), [f], 1
        plain = args[: count - len(keywords)]
        named = dict(zip(keywords, args[count - len(keywords) :], strict=True))
        self.stack.append(self._result(f, plain, named))
        for x in args:
            self._escapes(x)

    def _result(self, f, args, named):
        """What a call gives, if that is known; what it reads is found."""
        if isinstance(f, Method):
            return self._of_dict(f.name, f.owner, args)
        if any(f is g for g in _THROUGH):
            return self._passed(f, args)
        if f is globals and not args:
            return self.names
        if f is vars and len(args) == 1:
            own = getattr(args[0], "__dict__", None)
            return own if type(own) is dict and args[0] is not ABSENT else ABSENT
        key = args[1] if len(args) > 1 else None
        if isinstance(key, Known) and type(key.value) is str and has_own(args[0]):
            return self._attribute_of(args[0], key.value)  # getattr(x, "name")
        bound = isinstance(f, types.MethodType) and f.__self__ is os.environ
        if args and (f is os.getenv or bound):
            self._environment(args[0])
        else:
            self._called(f, [_value(x) for x in args], named)
        return ABSENT

    def _of_dict(self, name, x, args):
        """What a method of a dict, or of one of several, gives."""
        if name in ("items", "values"):
            values = tuple(v for d in _all(x) for v in d.values())
            return tuple((ABSENT, v) for v in values) if name == "items" else values
        return self._item_of(x, args[0] if args else ABSENT)

    def _passed(self, f, args):
        """What a function of Python's that goes through its arguments hands on."""
        if f in (map, filter):
            first, *args = args or [ABSENT]
            self._called(first, [one_of(self._items(x)) for x in args], {})
            return self._items(args[0]) if f is filter and args else ABSENT
        if f is zip:
            return (tuple(one_of(self._items(x)) for x in args),)
        items = self._items(args[0]) if args else ()
        if f is enumerate:
            return tuple((ABSENT, x) for x in items)
        return one_of(items) if f is next else items

    def _called(self, f, args, named) -> None:
        """What a function, or each of several, reads when it is called."""
        for each in _all(f):
            if isinstance(each, Local):
                given = dict(zip(each.code.co_varnames, args, strict=False))
                key = each.code, *map(identity, (*args, *named.values()))
                inside = functools.partial(each.walk.inside, each.code, given | named)
                self.found.once(key, args, inside, each.code.co_name)
            else:
                self._called_one(each, args, named)

    def _called_one(self, f, args, named) -> None:
        """What a function, an object that is one, or the making of an object reads."""
        named = {k: _value(x) for k, x in named.items()}
        known = any(x is not ABSENT for x in (*args, *named.values()))
        if isinstance(f, type):
            f, args = f.__init__, [ABSENT, *args]
            known = isinstance(f, types.FunctionType)
        elif not isinstance(f, _FUNCTIONS):
            call = inspect.getattr_static(type(f), "__call__", None)
            if callable(getattr(type(f), "modules", None)):  # its own reads are known
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
    "BUILD_LIST": Walk._row,
    "BUILD_TUPLE": Walk._row,
    "BUILD_SLICE": Walk._slice,
    "BINARY_SLICE": Walk._part,
    "MAKE_FUNCTION": Walk._function,
    "SET_FUNCTION_ATTRIBUTE": Walk._function_attribute,
    "GET_ITER": Walk._iterator,
    "FOR_ITER": Walk._next,
    "UNPACK_SEQUENCE": Walk._unpack,
    "CALL": Walk._call,
    "CALL_KW": Walk._call_by_names,
    **dict.fromkeys(
        ["BINARY_OP", "COMPARE_OP", "IS_OP"], lambda self, arg: self._made(2)
    ),
}
# Those of other names, by how they begin.
_KINDS = {
    "LOAD_CONST": Walk._constant,
    "LOAD_SMALL_INT": Walk._constant,
    "LOAD_FAST": Walk._local,
    "BUILD_": Walk._made,
    **dict.fromkeys(
        ("UNARY", "TO_BOOL", "FORMAT", "CONVERT", "LIST_TO_TUPLE"),
        lambda self, arg: self._made(1),
    ),
}


@functools.cache
def _followed(name):
    """What is done on the walk for instructions of this name."""
    kinds = (f for kind, f in _KINDS.items() if name.startswith(kind))
    return _EXACT.get(name) or next(kinds, Walk._forget)


def _simple(i):
    """The instructions that one is made of, as Python 3.11 calls them."""
    name, arg = i.opname, i.argval
    if name == "BINARY_OP" and i.argrepr == "[]":  # from Python 3.14 on
        return [("BINARY_SUBSCR", arg)]
    if type(arg) is tuple and "FAST" in name and len(arg) == 2:
        parts = name.replace("_BORROW", "").split("_")
        return [("_".join(parts[:2]), arg[0]), ("_".join(parts[2:]), arg[1])]
    return [(name, arg)]


def _all(x) -> tuple:
    """It, or all of several."""
    return x.values if isinstance(x, Several) else (x,)


def _is_dict(x) -> bool:
    return all(isinstance(y, dict) for y in _all(x))


def _at(items, key):
    """The item at a position that is known, the items of a slice, or any of them."""
    if isinstance(key, slice):
        return items
    if isinstance(key, int) and -len(items) <= key < len(items):
        return items[key]
    return one_of(items)


def _value(x):
    """An argument that a function may read parts of."""
    return ABSENT if isinstance(x, Known) else x


def has_own(x) -> bool:
    """Whether it is an object that keeps attributes."""
    return type(getattr(x, "__dict__", None)) is dict and not isinstance(x, type)
