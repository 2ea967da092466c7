"""Digest: all that decides a program's machine code, as one number that is the same tomorrow.

It is made of the captured program, before any work is done on it, and of what else the code
depends on: our own sources, LLVM, the processor, and how this Python keeps its objects.
Whatever the emitter begins to look at besides has to be named in `surroundings`.
"""

from __future__ import annotations

import functools
import os
import platform
import sys

import numpy as np

from ...core import LOADED
from ...core.primitive import Primitive, op
from ...ir.graph import Graph
from ..cache import hashed
from ..capture.surroundings import ABSENT, COUNT
from ..results import answer
from . import sharing, way
from .llvm import library as llvm
from .llvm import machine
from .llvm.machine import cache, processor, registers, vector_bits

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# What writes the code of a captured program: these folders and all in them, and the top's files.
WRITING = ("autodiff", "compiler", "core", "ir", "ops")
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


def digest(captured) -> str | None:
    """The number, or None if something in the program has no name in other processes."""
    write = _Writer()
    try:
        write.captured(captured)
    except _Nameless:
        return None
    write.text(surroundings())
    return write.hash.hexdigest()


class _Nameless(Exception):
    """Not the same thing in another process."""


class _Writer:
    """Writes a program into a hash; values go by their numbers."""

    def __init__(self):
        self.hash = hashed()

    def text(self, *parts) -> None:
        """Parts of which no two lists read alike."""
        self.hash.update(repr(parts).encode())

    def captured(self, c) -> None:
        """The program, and what the way in from Python looks at."""
        self.graph(c.graph)
        self.text("states", [(s.place is None, s.written) for s in c.states])
        self.text("arguments", c.firsts, c.rewritten, c.fresh(), c.rare, c.hands_on)
        self.text("live", bool(c.live), "inner", sorted(c.inner), len(c.alike))
        self.text("draws", [n for _, n in c.draws], "results", c.arguments, c.count)
        self.text("answer", answer(c), "leaves", sorted(c.leaves))
        self.text("numbers", [(_named(n), place) for _, n, place in c.numbers])
        self.text("seen", [_seen(*s) for s in c.compared])
        self.text("memory", c.memory)
        self.text("read", [r.numbers.nbytes for r in c.read])
        self.text("gradients", [g.output for g in c.gradients])

    def graph(self, g) -> None:
        """The operations of a program, with its constants."""
        number = {v: i for i, v in enumerate((*g.inputs, *g.consts))}
        self.text("inputs", [_spec(v) for v in g.inputs])
        for c in g.consts:
            self.text("constant", _spec(c))
            self.hash.update(np.ascontiguousarray(c.value).tobytes())
        for o in g.operations:
            self.text(_record(o.prim), [number[v] for v in o.inputs])
            if o.prim.name == "contract":  # its code works where that may be used
                self.text(machine.pairs())
            for name, x in o.params.items():
                self.param(name, x)
            number.update({v: len(number) + i for i, v in enumerate(o.outputs)})
        self.text("outputs", [number[v] for v in g.outputs])

    def param(self, name, x) -> None:
        """A parameter; programs among them are written out."""
        if isinstance(x, Graph):
            self.text(name, "program")
            self.graph(x)
        else:
            self.text(name, _param(x))


def _record(prim) -> str:
    """The name of a record of ours: what another does is not known from its name."""
    ours = type(prim).__module__.partition(".")[0] == __name__.partition(".")[0]
    if not ours or vars(op).get(prim.name) is not prim:
        raise _Nameless
    return prim.name


def _spec(v):
    return tuple(v.spec.shape), _dtype(v.spec.dtype)


def _dtype(x):
    return x.str, x.name


def _named(name):
    if type(name) not in (str, bytes):
        raise _Nameless
    return name


def _seen(keeper, items):
    """What the code compares: items of a list, or what is under some keys."""
    if isinstance(keeper, list):
        return "list", [len(x) for x in items.values()]
    count = items.get(COUNT)
    names = [(_named(k), x is ABSENT) for k, x in items.items() if k is not COUNT]
    return isinstance(keeper, dict), names, count


def _param(x):
    """Something whose repr says all of it."""
    kind = type(x)
    if kind in _PLAIN:
        return x
    if kind in (tuple, list):
        return kind.__name__, [_param(v) for v in x]
    if kind is dict:
        return "dict", [(_param(k), _param(v)) for k, v in x.items()]
    if kind is slice:
        return "slice", _param(x.start), _param(x.stop), _param(x.step)
    if isinstance(x, np.dtype):
        return "dtype", _dtype(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return "array", x.shape, _dtype(x.dtype), x.tobytes()
    if isinstance(x, Primitive):
        return "record", _record(x)
    raise _Nameless


@functools.cache
def surroundings() -> str:
    """Everything else that the code depends on."""
    return repr(
        (
            _sources(),
            sys.modules[__name__.partition(".")[0]].__version__,
            llvm.version(),
            llvm.triple(),
            processor(),
            vector_bits(),
            registers(),
            cache(2),
            _libc(),
            platform.python_implementation(),
            sys.version_info,
            np.__version__,
            way.usable(),
            sharing.possible(),
        )
    )


def _libc() -> str:
    """The C library, whose functions code may call."""
    try:
        return str(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):  # Windows, macOS, musl
        return platform.system()


def _sources() -> list:
    """Size and time of each file that writes code: a change of the compiler makes other code.

    What other files do, such as a layer or an optimizer, is in the captured program. If one
    was changed since it was loaded, nobody else finds what this process makes.
    """
    found = sorted(map(_state, _files()))
    changed = any(time > LOADED for _, _, time in found)
    return [*found, os.urandom(16).hex() if changed else ""]


def _state(f) -> tuple:
    status = f.stat()
    return f.name, status.st_size, status.st_mtime_ns


def _files():
    """Those files; none where they are in an archive."""
    if os.path.isdir(ROOT):
        with os.scandir(ROOT) as top:
            yield from (f for f in top if f.name.endswith(".py"))
        for name in WRITING:
            yield from _below(os.path.join(ROOT, name))


def _below(folder):
    """Python's files in a folder, and in all that are in it."""
    with os.scandir(folder) as inside:
        for f in inside:
            if f.name.endswith(".py"):
                yield f
            elif f.name != "__pycache__" and f.is_dir():
                yield from _below(f.path)
