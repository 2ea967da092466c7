"""The IR: a typed list of operations over the same primitives, each result assigned once.

Equal operations on equal inputs are one (hash-consed). Every operation keeps the user's
line that wrote it and, after a pass, the operations it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.bind import bind
from ..core.primitive import Primitive
from ..core.shape import Spec
from ..errors import ArgumentError, ShapeError, again, site_line, written

SMALL = 2**10  # bytes of a constant that is compared with others
LOOPS = frozenset({"scan", "branch", "repeat_while"})  # operations made of programs


class Var:
    """One value of a program: a name and a Spec."""

    __slots__ = ("name", "spec")

    def __init__(self, name: str, spec: Spec):
        self.name, self.spec = name, spec

    def __repr__(self):
        return f"{self.name}: {self.spec}"


class Const:
    """A value known when the program was made."""

    __slots__ = ("name", "spec", "value")

    def __init__(self, name: str, value: np.ndarray):
        self.name, self.value = name, value
        self.spec = Spec(value.shape, value.dtype)

    def __repr__(self):
        return f"{self.name} = {self.value!r}"


class Operation:
    """outputs = prim(inputs, **params), written at `site`, made of `origin`."""

    __slots__ = ("inputs", "origin", "outputs", "params", "path", "prim", "site")

    def __init__(self, prim, inputs, params, outputs, site=None, origin=(), path=""):
        self.prim, self.params = prim, params
        self.inputs, self.outputs = inputs, outputs
        self.site, self.origin, self.path = site, origin, path

    def changed(self, **parts) -> Operation:
        """The same operation, of the same line, with other inputs, params or outputs."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return Operation(**{**own, **parts})

    def bodies(self) -> list[Graph]:
        """The programs among its parameters: bodies of a loop, or of a branch."""
        return [p for p in self.params.values() if isinstance(p, Graph)]

    def passing(self) -> tuple:
        """The inputs to which cotangents of the outputs may go."""
        if not self.prim.differentiable:
            return ()
        return self.inputs[1:] if self.prim.name == "unrecorded" else self.inputs

    def where(self) -> tuple[str, int, str]:
        """(file, line, source text) of the user's code."""
        return site_line(self.site)

    def __repr__(self):
        left = ", ".join(v.name for v in self.outputs)
        return f"{left} = {self.prim.name}({', '.join(v.name for v in self.inputs)})"


def frozen(x):
    """A hashable stand-in for a parameter."""
    if isinstance(x, dict):
        return tuple((k, frozen(v)) for k, v in x.items())
    if isinstance(x, (list, tuple)):
        return tuple(map(frozen, x))
    return (type(x), repr(x) if isinstance(x, float) else x)  # -0.0 is not 0.0


class Graph:
    """Inputs, constants, operations in order, outputs."""

    def __init__(self, name: str = "f"):
        self.name = name
        self.inputs: list[Var] = []
        self.consts: list[Const] = []
        self.operations: list[Operation] = []
        self.outputs: list = []
        self.again: dict = {}  # a value that is computed a second time -> the first
        self._known: dict = {}
        self._const_of: dict = {}
        self._count = 0

    def __repr__(self):
        return self.name

    def parts(self) -> dict[Graph, str]:
        """The programs that are parameters of operations here, bodies of loops and branches,
        with a name for each."""
        names: dict = {}
        for o in self.operations:
            for key, part in o.params.items():
                if isinstance(part, Graph) and part not in names:
                    taken = sum(n.startswith(key) for n in names.values())
                    names[part] = f"{key}{taken + 1}" if taken else key
        return names

    def add_input(self, name: str, spec: Spec) -> Var:
        """One more argument."""
        var = Var(name, spec)
        self.inputs.append(var)
        return var

    def const(self, value: np.ndarray) -> Const:
        """The constant of this array; equal small ones are one."""
        value = np.asarray(value)
        key = id(value)
        if value.nbytes <= SMALL:
            key = value.dtype, value.shape, value.tobytes()
        found = self._const_of.get(key)
        if found is None:
            found = Const(f"c{len(self.consts) + 1}", value)
            self._const_of[key] = found
            self.consts.append(found)
        return found

    def add(
        self, prim: Primitive, inputs, params, site=None, origin=(), path=""
    ) -> tuple:
        """Results of one operation: new, or those of an equal one already here."""
        key = (prim, tuple(map(id, inputs)), frozen(params))
        found = self._known.get(key)
        if found is not None:
            return found
        specs = prim.infer(*(v.spec for v in inputs), **params)
        specs = (specs,) if isinstance(specs, Spec) else tuple(specs)
        outputs = tuple(self._fresh(s) for s in specs)
        self.operations.append(
            Operation(prim, tuple(inputs), params, outputs, site, origin, path)
        )
        self._known[key] = outputs
        return outputs

    def _fresh(self, spec):
        self._count += 1
        return Var(f"z{self._count}", spec)

    # ------------------------------------------------------------ running and checking

    def run(self, args: Iterable) -> list:
        """The outputs for these values, by interpreting each operation with `bind`."""
        env = self.evaluate(args)
        return [_value(env, v) for v in self.outputs]

    def evaluate(self, args: Iterable) -> dict:
        """Every value of the program, by variable."""
        args = list(args)
        if len(args) != len(self.inputs):
            raise ArgumentError(
                f"{self.name}: takes {len(self.inputs)} values, got {len(args)}"
            )
        env: dict = {c: c.value for c in self.consts}
        for var, x in zip(self.inputs, args, strict=True):
            if tuple(x.shape) != tuple(var.spec.shape):
                raise ShapeError(
                    f"{self.name}: {var.name} was traced as {var.spec}, got {tuple(x.shape)}"
                )
            env[var] = x
        around = written.get()
        try:
            for o in self.operations:
                written.set(again(o.site, around))
                y = bind(o.prim, *(env[v] for v in o.inputs), **o.params)
                ys = y if o.prim.outputs != 1 else (y,)
                env.update(zip(o.outputs, ys, strict=True))
        finally:
            written.set(around)
        return env

    def verify(self) -> None:
        """Each name assigned once and before it is read, each Spec what the rule says.

        So it is in the bodies of loops and branches.
        """
        for part in self.parts():
            part.verify()
        known: dict = {}
        for v in (*self.inputs, *self.consts):
            _declare(known, v, self.name)
        for o in self.operations:
            for v in o.inputs:
                if known.get(v.name) is not v:
                    raise ArgumentError(
                        f"{self.name}: {o!r} reads {v.name} before it is assigned"
                    )
            specs = o.prim.infer(*(v.spec for v in o.inputs), **o.params)
            specs = (specs,) if isinstance(specs, Spec) else tuple(specs)
            for v, spec in zip(o.outputs, specs, strict=True):
                if v.spec != spec:
                    raise ShapeError(
                        f"{self.name}: {o!r} is declared {v.spec}, its rule gives {spec}"
                    )
                _declare(known, v, self.name)
        for v in self.outputs:
            if known.get(v.name) is not v:
                raise ArgumentError(
                    f"{self.name}: returns {v.name}, which is never assigned"
                )

    def without_dead(self) -> Graph:
        """The same program without what no output needs, renumbered."""
        live = set(self.outputs)
        kept = []
        for o in reversed(self.operations):
            if any(v in live for v in o.outputs):
                kept.append(o)
                live.update(o.inputs)
        out = Graph(self.name)
        out.inputs, out.outputs = self.inputs, self.outputs
        out.consts = [c for c in self.consts if c in live]
        out.operations = kept[::-1]
        for i, c in enumerate(out.consts):
            c.name = f"c{i + 1}"
        results = [v for o in out.operations for v in o.outputs]
        for i, v in enumerate(results):
            v.name = f"z{i + 1}"
        return out.named_apart()

    def named_apart(self) -> Graph:
        """The same, with a name of its own for each value, in the programs inside as well."""
        taken: set = set()
        results = (v for o in self.operations for v in o.outputs)
        for v in (*self.inputs, *self.consts, *results):
            v.name = _not_among(taken, v.name)
            taken.add(v.name)
        for part in self.parts():
            part.named_apart()
        return self


def _not_among(taken, name) -> str:
    """The name, with a number behind it where another value has it."""
    new, n = name, 1
    while new in taken:
        n += 1
        new = f"{name}_{n}"
    return new


def _declare(known, v, name):
    if v.name in known:
        raise ArgumentError(f"{name}: {v.name} is assigned twice")
    known[v.name] = v


def _value(env, v):
    return v.value if isinstance(v, Const) else env[v]
