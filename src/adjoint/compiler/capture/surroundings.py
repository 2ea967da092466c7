"""Surroundings: where a function keeps what it reads besides its arguments.

Its instructions name them: globals, cells of closures, attributes and items with a constant
key. What they held when the program was made is compared before the program is run again.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import sys
import types
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from ...core import tree
from ...core.bind import Box
from .. import log
from .foreign import Streams
from .instructions import ABSENT, Known, Local, Method, Through, Walk, identity, one_of
from .screens import attributes, is_given, is_new

_SIMPLE = (int, float, complex, bool, str, bytes)
_OURS = __name__.partition(".")[0]
_KNOWN = {_OURS, "numpy", "scipy", *sys.stdlib_module_names} - {"__main__"}
_WALKED = Known, Local, Method
SEQUENCES = list, set, deque
_ENDS = (
    *_SIMPLE,
    type(None),
    type,
    Box,
    np.ndarray,
    types.ModuleType,
    types.FunctionType,
)
FAR = 5000  # objects that are looked at for names
MOST = 200  # places that are looked at
DEEP = 30  # functions that call each other
_BOUND = types.MethodType, types.BuiltinMethodType  # methods of an object
_METHODS = types.FunctionType, classmethod, staticmethod
# What Python calls for x(), x[i], x * y, `for`, `in`, `with` and the like; comparisons, which
# data classes write themselves, of all that they have, are not among them.
_SPECIAL = (
    "call getitem contains len iter enter exit bool int float index getattr "
    "add radd sub rsub mul rmul neg truediv rtruediv matmul rmatmul pow rpow"
)
_ENVIRONMENT = ("environ", "getenv")
LARGE = 2**24  # bytes of an array of NumPy that take long to compare before each call
_MANY = (
    "more than %d variables and attributes decide what is compiled: %s, and what is read after "
    "it, is taken to stay as it is"
)
_LONG = (
    "an array of NumPy of %.0f MB is compared before each call, for its numbers are part of "
    "the program: give it as an argument, or hold it in a tensor, which is read where it lies"
)


class Count:
    """The key under which a dict is asked how many items it has."""

    def __repr__(self):
        return "the number of items of a dict"


COUNT = Count()


def look(keeper, key):
    """What a dict or class has under a key, a cell, or a list or set as a whole; or ABSENT."""
    if key is COUNT:
        return len(keeper)
    if isinstance(keeper, SEQUENCES):
        return tuple(keeper)
    if isinstance(keeper, type):
        return vars(keeper).get(key, ABSENT)
    if type(keeper) is types.CellType:
        try:
            return keeper.cell_contents
        except ValueError:
            return ABSENT
    if isinstance(keeper, Mapping):
        return keeper.get(key, ABSENT)
    return getattr(keeper, key, ABSENT)  # of an object with slots


def named(key) -> str:
    """A key in a message; a tensor is told by its shape, for it may have no numbers now."""
    if isinstance(key, Box):
        return f"what is kept for a tensor of shape {list(key.shape)}"
    return repr(key)


def _leaves(x) -> list:
    """The leaves of a container that has an end; of any other none."""
    try:
        return tree.flatten(x)[0]
    except tree.Endless:
        return []


def put(keeper, key, x) -> None:
    """Keep x there; ABSENT takes away what is there."""
    if isinstance(keeper, SEQUENCES):
        keeper.clear()
        keeper.update(x) if isinstance(keeper, set) else keeper.extend(x)
        return
    if type(keeper) is types.CellType:
        keeper.cell_contents = x
    elif isinstance(keeper, type) or not isinstance(keeper, Mapping):
        delattr(keeper, key) if x is ABSENT else setattr(keeper, key, x)
    elif x is ABSENT:
        keeper.pop(key, None)
    else:
        keeper[key] = x


def equal(x, y) -> bool:
    """Whether two values make the same program: simple ones by value, others if they are one."""
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if type(x) is tuple:
        return len(x) == len(y) and all(map(equal, x, y))
    return type(x) in _SIMPLE and repr(x) == repr(y)


def same_bits(x, y) -> bool:
    """Whether two arrays are the same, NaN and signs of zeros too."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    x, y = (np.ascontiguousarray(v).reshape(-1).view(np.uint8) for v in (x, y))
    return np.array_equal(x, y)


class Surroundings:
    """Goes through the instructions of a function and of those that it names.

    `places` are (id of a dict, list or cell, key) -> (itself, key, what is there). Of dicts
    whose keys are not constants all items are places; keys that are new later are `added`.
    """

    def __init__(self, func, args=()):
        self.places: dict = {}
        self.dicts: dict = {}  # id of a dict -> (itself, its keys)
        self.counts: dict = {}  # of a dict of which any item may be read: a place
        self.done: dict = {}  # what was walked through -> what it was given, kept alive
        self.arrays: dict = {}  # id of an array -> (itself, a copy)
        self.iterators: list = []  # which a call uses up
        self.streams = Streams()  # random numbers that are not ours
        self.depth = 0  # of functions that call each other
        self.left = False  # whether some is not looked at
        self.names: set = set()  # of attributes, wherever the code reads them
        self.plain: dict = {}  # id of an object -> itself, of which attributes are read
        self.tensors: dict = {}  # id of a tensor -> itself, that may be given attributes
        self.modules: dict = {}  # id of a module -> itself, which counts its own changes
        rows = [_row(x) for x in args]
        self.function(func, rows)
        self._rest(rows)
        self.done.clear()  # what stands for arguments goes with the call
        self.plain.clear()
        self.tensors.clear()

    def changed(self) -> Iterator[tuple]:
        """(keeper, key, what was there) of places that hold something else now."""
        for keeper, key, before in self.places.values():
            if not equal(look(keeper, key), before):
                yield keeper, key, before
        for keeper, keys in self.dicts.values():
            yield from ((keeper, key, ABSENT) for key in keeper if key not in keys)

    def homes(self, more) -> dict:
        """id of a tensor -> the places that have it, as what they kept: these, and `more`."""
        rows = [*{**self.places, **more}.values()]
        for m in self.modules.values():
            rows += ((vars(m), k, x) for k, x in vars(m).items() if isinstance(x, Box))
        found: dict = {}
        for keeper, key, x in rows:
            for i, y in enumerate(_leaves(x) if type(x) is tuple else (x,)):
                if isinstance(y, Box):
                    found.setdefault(id(y), set()).add((id(keeper), key, i))
        return found

    def rewritten(self) -> bool:
        """Whether arrays of NumPy have other numbers now; they get back what they had."""
        changed = [(x, y) for x, y in self.arrays.values() if not same_bits(x, y)]
        for x, y in changed:
            np.copyto(x, y)
        return bool(changed)

    def function(self, f, args=(), named=None) -> None:
        """What it reads, if a user wrote it, given these arguments."""
        f, args, named = _plain(f, args, named or {})
        if _is_module(f):
            self._module(f)
            f, args = type(f).forward, (f, *args)
        if (inner := _own(f).get("__wrapped__")) is not None:
            self.function(inner, args, named)
        if not _is_written(f):
            return
        key = f.__code__, *named, *map(identity, (*args, *named.values()))
        walk = functools.partial(self._inside, f, args, named)
        self.once(key, (args, named), walk, getattr(f, "__qualname__", f))

    def once(self, key, given, walk, name) -> None:
        """Go on into a function, unless it was given the same before."""
        if key in self.done or self.depth >= DEEP:
            return
        if len(self.places) >= MOST:
            self._leave(f"what {name} reads")
            return
        self.done[key] = given
        self.depth += 1
        walk()
        self.depth -= 1

    def _inside(self, f, args, named) -> None:
        defaults = _defaults(f)
        for x in defaults.values():
            self._entered(x)
        self._walk(f, defaults | _given(f, args, named))

    def _rest(self, rows) -> None:
        """Objects that the code was not seen to read, by the names of attributes it reads.

        Results of functions, values after a branch and the like are not followed; whatever
        object they are, there is a way to it from what is known. Of one that the code names
        and reads itself, that is all: it may have others that change with every call.
        """
        named = {id(x) for x in rows}
        named |= {id(x) for keeper, _, x in self.places.values() if _names(keeper)}
        named &= self.plain.keys()
        before = -1
        while before < len(self.places) < MOST:
            before = len(self.places)
            others = [x for x in self._reached(rows) if id(x) not in named]
            for x in [*others, *self.tensors.values()]:
                for name in sorted(self.names & _has(x)):
                    self.attribute(x, name)

    def _reached(self, rows) -> list:
        """A user's objects to which there is a way from places and arguments."""
        seen: dict = {}
        todo = deque([*rows, *(x for _, _, x in self.places.values())])
        while todo and len(seen) < FAR:
            x = todo.popleft()
            if id(x) in seen or isinstance(x, _ENDS):
                continue
            seen[id(x)] = x
            todo.extend(_parts(x))
        return [x for x in seen.values() if _is_users(x)]

    def _walk(self, f, names) -> None:
        """Through its code, of which these names are known."""
        self.names |= _names_in(f.__code__)
        cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
        Walk(self, f.__globals__, cells, names).code(f.__code__)

    def kept(self, keeper, key, comes=False):
        """What is kept there, noted, and looked into if it is a function or a module.

        `comes`: if there is nothing, that is noted too.
        """
        x = look(keeper, key)
        if (x is ABSENT and not comes) or isinstance(x, types.ModuleType):
            return x
        if len(self.places) < MOST:
            self.places.setdefault((id(keeper), key), (keeper, key, x))
        elif (id(keeper), key) not in self.places:
            self._leave(repr(key))
        self._entered(x)
        return x

    def _entered(self, x):
        """Look into what is kept somewhere, as far as what it is leads further."""
        self.streams.see(x.__self__ if isinstance(x, _BOUND) else x)
        self._compared(x)
        match x:
            case list() | set() | deque() if (id(x), None) not in self.places:
                self.kept(x, None)
                self._entered_all(x)
            case tuple() if type(x) is tuple:
                self._entered_all(x)
            case dict() if id(x) not in self.dicts:
                self.dicts[id(x)] = x, frozenset(x)
            case Box():
                self._hooks(x)
            case Iterator():
                self.iterators.append(x)
            case UserDict() | UserList():
                self._behind(self.kept(vars(x), "data"))
            case ChainMap():
                self._behind(self.kept(vars(x), "maps"))
            case types.MappingProxyType():
                self._behind(gc.get_referents(x))
            case type():
                self._class(x)
            case _ if _is_users(x):
                self._object(x)
            case _ if callable(x):
                self.function(x)

    def _behind(self, x):
        """What a container of Python's own library looks into: of dicts any item may be read."""
        for d in x if isinstance(x, list) else [x]:
            if isinstance(d, dict):
                self.whole(d)

    def _compared(self, x):
        """Of an array that may change, a copy: its numbers may be part of the program."""
        if id(x) in self.arrays or not _may_change(x):
            return
        if x.nbytes > LARGE:
            log.warning(_LONG, x.nbytes / 2**20)
        self.arrays[id(x)] = x, x.copy()

    def _entered_all(self, x):
        """What is in a container without names."""
        for y in islice(x, MOST):
            self._entered(y)
            if isinstance(y, dict):
                self.whole(y)

    def _class(self, x):
        """What is called of a class without an object, such as the rules of a `Function`."""
        for c in x.__mro__:
            for f in vars(c).values() if not _is_library(c.__module__) else ():
                if isinstance(f, staticmethod):
                    self.function(f.__func__)

    def _object(self, x):
        """What a user's object does where Python calls its methods: x(), x[i], x * y, with x."""
        for name in _SPECIAL.split():
            f = inspect.getattr_static(type(x), f"__{name}__", None)
            if f is not None:
                self.function(f, (x,))

    def _module(self, x):
        """What its parts do, hooks among them."""
        for m in x.modules():
            self.modules[id(m)] = m
            self.function(type(m).forward, (m,))
            for hooks in (getattr(m, "_hooks", None) or {}).values():
                for hook in tree.flatten(list(hooks.values()))[0]:
                    self.function(hook)
        for p in x.parameters():
            self._hooks(p)

    def _hooks(self, x):
        """What is done with a tensor's gradient; the code may read attributes it was given."""
        self.tensors[id(x)] = x
        node = x.__dict__.get("node")
        of_node = () if node is None else (node.hooks, node.prehooks)
        for hooks in (x.post_hooks, *of_node):
            for hook in (hooks or {}).values():
                self.function(hook)

    def _leave(self, what):
        """Say once that not all is looked at."""
        if not self.left:
            log.warning(_MANY, MOST, what)
        self.left = True

    def whole(self, x):
        """Any item of a dict may be read, and is given; so may those that are not there yet."""
        self.counts.setdefault((id(x), COUNT), (x, COUNT, len(x)))
        return one_of([self.kept(x, key) for key in list(x)[:MOST]])

    def items(self, x) -> tuple:
        """What is in a container without names, noted."""
        if isinstance(x, dict):
            self.whole(x)  # its keys are constants
        elif isinstance(x, SEQUENCES):
            self._entered(x)
            return tuple(islice(x, MOST))
        return tuple(x) if isinstance(x, tuple) and not isinstance(x, _WALKED) else ()

    def attribute(self, x, name):
        """x.name as far as it is kept in x itself, or is a method."""
        if x is ABSENT or isinstance(x, (Through, *_WALKED)):
            return ABSENT
        if isinstance(x, Box):
            own, kind = attributes(x), type(x)
            given = name in own or not hasattr(kind, name)  # else it is a method
            mine = given and is_given(kind, name) and not is_new(x)
            return self.kept(own, name) if mine else ABSENT
        if isinstance(x, type):
            return self._of_class(x, name)
        if isinstance(x, dict):
            return self.whole(x)
        if isinstance(x, types.ModuleType) and _is_library(x.__name__):
            return getattr(os, name) if x is os and name in _ENVIRONMENT else ABSENT
        if x is os.environ:
            return x.get if name == "get" else ABSENT
        self.plain[id(x)] = x
        own = getattr(x, "__dict__", None)
        if name == "__dict__" and type(own) is dict:
            return own
        if type(own) is not dict or name not in own:
            return self._of_object(x, name, own)
        if _is_module(x) and not _loose(own[name]):
            self.modules[id(x)] = x
            self._entered(own[name])
            return own[name]
        return self.kept(own, name)

    def _of_object(self, x, name, own):
        """What an object has by a name that it does not keep itself: a method, or a slot."""
        f = inspect.getattr_static(type(x), name, None)
        self._answer(x, f)
        f = f.fget if isinstance(f, property) else f
        if isinstance(f, types.FunctionType):
            return self._bound(f, x, type(x))
        if isinstance(f, types.MemberDescriptorType):
            return self.kept(x, name)
        if type(own) is dict:
            self.places.setdefault((id(own), name), (own, name, ABSENT))  # it may come
        return self._of_class(type(x), name, x)

    def _answer(self, x, found) -> None:
        """What a user's code reads that answers for an attribute: of x, or what its class has."""
        for asked, name in ((x, "__getattr__"), (found, "__get__")):
            f = inspect.getattr_static(type(asked), name, None)
            if isinstance(f, types.FunctionType):
                self.function(f, (asked,) if asked is x else (asked, x))

    def _of_class(self, kind, name, owner=None):
        """What a class that a user wrote, or one that it is made of, keeps by a name."""
        for c in kind.__mro__:
            if name in vars(c) and not _is_library(c.__module__):
                x = vars(c)[name]
                if isinstance(x, _METHODS) or "__wrapped__" in _own(x):
                    return self._bound(x, owner, kind)
                plain = isinstance(x, (*_SIMPLE, list, dict))
                plain = plain or _is_users(x) or _is_module(x)
                return self.kept(c, name) if plain else ABSENT
        return ABSENT

    def _bound(self, f, x, kind):
        """A method of an object, or of its class, looked into."""
        f = f.__get__(x, kind)
        self.function(f)
        return f


def _plain(f, args, named):
    """(the function or module that is run when `f` is called, all its arguments, those by name).

    What is made of another function stays what it is.
    """
    while isinstance(f, functools.partial):
        f, args, named = f.func, (*f.args, *args), {**f.keywords, **named}
    if isinstance(f, types.MethodType):
        f, args = f.__func__, (f.__self__, *args)
    call = inspect.getattr_static(type(f), "__call__", None)
    made = _is_module(f) or "__wrapped__" in _own(f)
    if not made and isinstance(call, types.FunctionType):
        f, args = call, (f, *args)
    return f, args, named


def _given(f, args, named) -> dict:
    """Its arguments by name."""
    names = f.__code__.co_varnames[: f.__code__.co_argcount]
    return {**dict(zip(names, args, strict=False)), **named}


def _row(x):
    """An argument; of a container, of which the function is given a copy, what is in it."""
    if type(x) is dict:
        x = tuple(x.values())
    return tuple(map(_row, x)) if type(x) in (list, tuple) else x


def _names(keeper) -> bool:
    """Whether variables are kept there: a cell, or the globals of a module."""
    return type(keeper) is types.CellType or (
        type(keeper) is dict and "__builtins__" in keeper
    )


def _parts(x):
    """What an object leads to: what it contains, or keeps as attributes."""
    if isinstance(x, (dict, tuple, *SEQUENCES)):
        return list(islice(x.values() if isinstance(x, dict) else x, MOST))
    if isinstance(x, types.MethodType):
        return [x.__self__]
    own = getattr(x, "__dict__", None) if _is_users(x) or _is_module(x) else None
    own = own if type(own) is dict else None
    kinds = [c for c in type(x).__mro__ if not _is_library(c.__module__)]
    shared = [y for c in kinds for y in vars(c).values() if _is_users(y)]
    slots = [getattr(x, k, None) for k in _slots(x)] if own is None else ()
    return [*(own or {}).values(), *slots, *shared]


def _has(x) -> set:
    """Names of attributes that it keeps itself, and of a user's methods."""
    kinds = [c for c in type(x).__mro__ if not _is_library(c.__module__)]
    methods = {k for c in kinds for k in vars(c)}
    return methods.union(getattr(x, "__dict__", ()))


def _slots(x):
    """The names of its slots, if a user wrote its class."""
    kinds = [c for c in type(x).__mro__ if not _is_library(c.__module__)]
    slots = types.MemberDescriptorType
    return [k for c in kinds for k, y in vars(c).items() if isinstance(y, slots)]


def _is_written(f) -> bool:
    """Whether it is a function that a user wrote."""
    if type(f) is not types.FunctionType:
        return False
    return not _is_library(f.__globals__.get("__name__"))


def _own(x) -> dict:
    """The attributes that something keeps itself, without asking it."""
    own = getattr(x, "__dict__", None)
    return own if type(own) is dict else {}


def _is_module(x) -> bool:
    return callable(getattr(type(x), "modules", None))


def _is_users(x) -> bool:
    """Whether it is an object of a user's class, or one that is there to have attributes."""
    if isinstance(x, _ENDS) or _is_module(x):
        return False
    named = type(x).__name__ in ("SimpleNamespace", "Namespace")
    return named or not _is_library(type(x).__module__)


def _names_in(code) -> set:
    """Names that code may read attributes by, also as texts."""
    names = set(code.co_names)
    for x in code.co_consts:
        if isinstance(x, types.CodeType):
            names |= _names_in(x)
        for y in x if isinstance(x, tuple) else (x,):
            names |= {y} if isinstance(y, str) and y.isidentifier() else set()
    return names


def _defaults(f) -> dict:
    """What its parameters are that are not given."""
    given = f.__defaults__ or ()
    code = f.__code__
    last = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    return {**dict(zip(last, given, strict=True)), **(f.__kwdefaults__ or {})}


def _loose(x) -> bool:
    """Tensors that a module has without owning them."""
    return any(type(y) is Box.face for y in tree.flatten(x)[0])


def _may_change(x) -> bool:
    """Whether an array, or one that it is a view of, can be written."""
    while isinstance(x, np.ndarray) and not x.flags.writeable:
        x = x.base
    return isinstance(x, np.ndarray) and not x.dtype.hasobject


def _is_library(name) -> bool:
    return str(name).partition(".")[0] in _KNOWN
