"""Primitives: one record an operation, and the families that derive what can be derived.

A record is a class whose body is data; naming it registers its single instance under
`op.<name>`. A family supplies shape rule, vjp, jvp and vmap from the few rules written.
Rules are written in the op language, so they are differentiable and traceable again.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from types import FunctionType
from typing import Any, ClassVar

import numpy as np

from ..errors import AdjointError, ArgumentError, GradError
from . import dtype as dt
from .bind import Box, bind, dtype_of
from .shape import Spec, broadcast, reduced, sum_dims


class Registry:
    """All primitives by name: `op.exp(x)` binds the record `Exp`."""

    def __iter__(self):
        return iter(tuple(vars(self).values()))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no primitive is called {name!r}")


op = Registry()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Primitive:
    """One operation. `eager` computes it with NumPy; the family says what else is written."""

    name: ClassVar[str]
    family: ClassVar[str] = "general"
    eager: ClassVar[Callable]
    outputs: ClassVar[int] = 1  # more than one: eager returns a tuple
    differentiable: ClassVar[bool] = True
    view: ClassVar[bool] = False  # the result shares memory with the first input
    saves_y: ClassVar[bool] = True
    happens: ClassVar[bool] = False  # it does something beside its result
    calls_back: ClassVar[bool] = False  # eager runs a user's function, not NumPy alone
    symbol: ClassVar[str] = ""  # how a program prints it: "{} + {}"
    samples: ClassVar[Callable | None] = None  # rng -> [(args, params), ...]
    reference: ClassVar[Callable | None] = None  # an independent computation of eager
    errors: ClassVar[Callable | None] = None  # -> [(args, params, error, text), ...]
    lower: ClassVar[Callable | None] = None  # (builder, *xs, **params): native code
    expand: ClassVar[Callable | None] = None  # (*xs, **params): in simpler operations
    parts: ClassVar[Callable | None] = (
        None  # the same of (real, imaginary) for complex xs
    )

    def __init_subclass__(cls, abstract: bool = False, **kwargs):
        super().__init_subclass__(**kwargs)
        for key, value in vars(cls).copy().items():
            if isinstance(value, FunctionType) and key in cls._static:
                setattr(cls, key, staticmethod(value))
        if abstract:
            return
        cls.name = cls.__dict__.get("name", _snake(cls.__name__))
        instance = cls()
        instance._plans = {}
        instance.prepare()
        setattr(op, cls.name, instance)

    _static = frozenset(
        {"eager", "samples", "reference", "errors", "lower", "expand", "parts"}
    )

    def prepare(self) -> None:
        """Compile what the record wrote into what the interpreters call; once, at import."""

    __call__ = bind  # op.exp(x)

    def __repr__(self):
        return f"<primitive {self.name}>"

    def __reduce__(self):
        return (_find, (self.name,))

    # What interpreters ask for; families answer, General records write them by hand.

    def infer(self, *specs: Spec, **params) -> Spec | tuple[Spec, ...]:
        """Shape rule: the result's Spec, or a ShapeError or DtypeError in the user's terms."""
        raise NotImplementedError(f"{self.name} has no shape rule")

    def keeps(self, need: Sequence[bool], count: int) -> Sequence[bool]:
        """Which inputs the vjp reads when the inputs in `need` want a cotangent."""
        return (True,) * count

    def plan(self, parents) -> tuple[tuple[bool, ...], Sequence[bool] | None]:
        """Which inputs (those with a parent) want a cotangent, and `keeps` for them."""
        if len(parents) == 1:
            need = (parents[0] is not None,)
        else:
            need = tuple([p is not None for p in parents])
        try:
            return self._plans[need]
        except KeyError:
            keeps = tuple(self.keeps(need, len(need)))
            plan = self._plans[need] = need, keeps if True in keeps else None
            return plan

    def vjp(self, g, y, xs, params, need) -> Sequence:
        """Cotangents of the inputs (None where not in `need`) from that of the output."""
        raise GradError(f"{self.name} has no derivative in reverse mode")

    def jvp(self, ts, y, xs, params):
        """Tangent of the output from those of the inputs (None is zero)."""
        raise GradError(f"{self.name} has no derivative in forward mode")

    def batch(self, size: int, xs, dims, params):
        """(result, batch dim) for inputs with a batch dim or None; here example by example."""
        rows = []
        for i in range(size):
            rows.append(
                bind(
                    self,
                    *(
                        x if d is None else op.select(x, dim=d, index=i)
                        for x, d in zip(xs, dims, strict=True)
                    ),
                    **params,
                )
            )
        if self.outputs == 1:
            return op.stack(*rows, dim=0), 0
        columns = tuple(op.stack(*column, dim=0) for column in zip(*rows, strict=True))
        return columns, (0,) * len(columns)

    def explain(self, error: Exception, args, params) -> None:
        """Raise our error for what NumPy refused: the shape rule's if it has one."""
        if isinstance(error, (AdjointError, NotImplementedError, MemoryError)):
            return
        specs = [spec_of(x) for x in args]
        try:
            self.infer(*specs, **params)
        except AdjointError as better:
            raise better from None
        except NotImplementedError:
            pass
        shown = ", ".join(map(str, specs))
        raise ArgumentError(f"{self.name}({shown}): {error}") from error


def _find(name: str) -> Primitive:
    return getattr(op, name)


def spec_of(x) -> Spec:
    """The Spec of a value at any level."""
    return Spec(tuple(x.shape), dtype_of(x))


def number(value, x) -> np.ndarray:
    """`value` in the dtype of `x`: beside `x` in a `where` it costs no memory."""
    return np.array(value, dtype_of(x))


def conjugate(x):
    """The complex conjugate; what is real is its own."""
    return op.conj(x) if dtype_of(x).kind == "c" else x


def total(*terms):
    """The sum of those that are not None; None if there are none."""
    terms = [t for t in terms if t is not None]
    return sum(terms[1:], terms[0]) if terms else None


def product_of_parts(f, x, y, **params):
    """A product f of complex numbers as products of their parts."""
    (a, b), (c, d) = x, y
    real = f(a, c, **params) - f(b, d, **params)
    return real, f(a, d, **params) + f(b, c, **params)


def sum_to(g, shape: Sequence[int]):
    """Sum a cotangent over the dims that broadcasting had stretched."""
    if tuple(g.shape) == tuple(shape):
        return g
    g = op.sum(g, dim=sum_dims(g.shape, shape), keepdim=False)
    return g if tuple(g.shape) == tuple(shape) else op.reshape(g, shape=tuple(shape))


def batch_to_front(x, d):
    """`x` with its batch dim first."""
    if d == 0:
        return x
    n = x.ndim
    return op.permute(x, dims=(d, *(i for i in range(n) if i != d)))


def with_batch(x, d, size: int):
    """`x` with a batch dim first, broadcast in if it has none."""
    if d is None:
        return op.expand(x, shape=(size, *x.shape))
    return batch_to_front(x, d)


# ---------------------------------------------------------------- elementwise


class Elementwise(Primitive, abstract=True):
    """Each element by itself, with broadcasting.

    The record writes `eager` and one rule an input: `dx(t, ...)` for unary, `dx1 dx2 ..`
    else, which applies the partial derivative to `t`, a tangent or a cotangent alike (the
    Jacobian is diagonal). What else the rule reads it names: y, x, x1 ..., or a parameter.
    A function that is not holomorphic also writes `pull(t, ...)`, its reverse rule.
    """

    family = "elementwise"
    out: ClassVar[str] = "same"  # dtype of the result: same, bool, real
    inexact: ClassVar[bool] = False  # integers become the default floating dtype first
    singular: ClassVar[bool] = False  # a partial may be infinite: 0 times it stays 0
    decides: ClassVar[int] = 0  # the input whose dtype the result has
    takes: ClassVar[str] = "buifc"  # kinds of dtype it is defined for
    lowers: ClassVar[str] = "f"  # those that `lower` writes native code for

    _static = (
        Primitive._static
        | {f"dx{i or ''}" for i in range(5)}
        | {f"pull{i or ''}" for i in range(5)}
    )

    def prepare(self):
        self.nin = _count_inputs(self.eager)
        names = ["x"] if self.nin == 1 else [f"x{i + 1}" for i in range(self.nin)]
        self._partials = [_Partial(self, i, names) for i in range(self.nin)]
        self.differentiable = any(p.rule for p in self._partials)
        self.saves_y = any("y" in p.reads for p in self._partials)

    # Made when they are first needed: a program uses a few of a hundred records.

    @cached_property
    def pushes(self):
        """The forward rule of each input, or None."""
        return [p.push for p in self._partials]

    @cached_property
    def _pull(self):
        return _reverse([p.real for p in self._partials], self._partials)

    @cached_property
    def _pull_complex(self):
        return _reverse([p.complex for p in self._partials], self._partials)

    def infer(self, *specs, **params):
        shape = broadcast(*(s.shape for s in specs), name=self.name)
        d = specs[self.decides].dtype
        if self.out == "bool":
            d = np.dtype(bool)
        return Spec(shape, dt.to_real(d) if self.out == "real" else d)

    def keeps(self, need, count):
        reads = [p.reads for p, n in zip(self._partials, need, strict=True) if n]
        return tuple(any(i in r for r in reads) for i in range(count))

    def vjp(self, g, y, xs, params, need):
        d = dtype_of(g) if isinstance(g, Box) else g.dtype
        pull = self._pull_complex if d.kind == "c" else self._pull
        return pull(g, y, xs, params, need)

    def jvp(self, ts, y, xs, params):
        total = None
        for i, t in enumerate(ts):
            if t is not None and self.pushes[i]:
                ty = self.pushes[i](t, y, xs, params)
                total = ty if total is None else total + ty
        if total is not None and total.shape != y.shape:
            total = op.expand(total, shape=tuple(y.shape))
        return total

    def batch(self, size, xs, dims, params):
        ranks = [x.ndim - (d is not None) for x, d in zip(xs, dims, strict=True)]
        top = max(ranks)
        aligned = []
        for x, d, rank in zip(xs, dims, ranks, strict=True):
            if d is not None:
                x = batch_to_front(x, d)
                if rank < top:
                    x = op.reshape(x, shape=(size, *(1,) * (top - rank), *x.shape[1:]))
            aligned.append(x)
        return bind(self, *aligned, **params), 0


class _Partial:
    """The derivative of a record in input `i`: what its rules read, and they made callable.

    push(t, y, xs, params) applies it; `real` and `complex` are its adjoint as source text,
    from which `_reverse` makes one function for all inputs; `names` are the names in it.
    """

    def __init__(self, record, i, inputs):
        self.rule = rule = getattr(record, f"d{inputs[i]}", None)
        pull = getattr(record, inputs[i].replace("x", "pull"), None)
        self.reads = _reads(rule, inputs) | _reads(pull, inputs)
        self.number, self.real, self.complex = i, None, None
        self.names = {f"rule{i}": rule, f"pull{i}": pull, "guarded": guarded}
        if rule:
            text = _call(f"rule{i}", rule, inputs)
            self.real = f"guarded(t, {text})" if record.singular else text
            self.forward, self.complex = (
                self.real,
                f"conj(push{i}(conj(t), y, xs, params))",
            )
        if pull:
            self.real = self.complex = _call(f"pull{i}", pull, inputs)

    @cached_property
    def push(self):
        """The rule, called with what it names."""
        if not self.rule:
            return None
        return _rule(f"lambda t, y, xs, params: {self.forward}", self.names)


def _names(f) -> list[str]:
    return list(_parameters(f))[1:] if f else []


def _parameters(f) -> tuple[str, ...]:
    code = f.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _reads(f, inputs) -> set:
    """The positions of the inputs, and "y", that rule `f` names."""
    return {inputs.index(n) if n in inputs else n for n in _names(f)}


def _call(called, f, inputs) -> str:
    """`rule(t, xs[1], ...)`, passing just what `f` names."""
    reads = {"y": "y"} | {n: f"xs[{i}]" for i, n in enumerate(inputs)}
    passed = ["t", *(reads.get(n, f"params[{n!r}]") for n in _names(f))]
    return f"{called}({', '.join(passed)})"


def _reverse(adjoints, partials):
    """vjp(t, y, xs, params, need): the cotangents of all inputs as one expression."""
    scope = {"fit": _fit, "conj": lambda x: op.conj(x)}
    for p in partials:
        scope |= p.names
        scope[f"push{p.number}"] = lambda *args, p=p: p.push(*args)
    terms = [str(text) for text in adjoints]
    if len(terms) > 1:
        terms = [
            f"fit({text}, xs[{i}]) if need[{i}] else None"
            for i, text in enumerate(terms)
        ]
    return _rule(f"lambda t, y, xs, params, need: ({', '.join(terms)},)", scope)


def _fit(gx, x):
    """Summed to the shape of `x`; None: x was not read and has the result's shape."""
    if x is None or gx is None or gx.shape == x.shape:
        return gx
    return sum_to(gx, x.shape)


def recorded(x) -> bool:
    """Whether `x`, read by a rule, is a tensor, of which a graph may be made again."""
    return isinstance(x, Box.face)


_NUMPY = (np.ndarray, np.generic)


def guarded(t, out):
    """`op.guard(t, out)`; on finite arrays, where it changes nothing, without a bind."""
    bare = isinstance(out, _NUMPY) and not isinstance(t, Box)
    return out if bare and _is_finite(out) else op.guard(t, out)


def _is_finite(x) -> bool:
    """A sum of squares is finite only if all are: one pass, without a temporary."""
    if x.ndim:
        x = x.ravel("K")
        x = x.dot(x)
    return math.isfinite(abs(x))


def _count_inputs(f) -> int:
    if isinstance(f, np.ufunc):
        return f.nin
    return inspect.unwrap(f).__code__.co_argcount


# ---------------------------------------------------------------- linear


class Linear(Primitive, abstract=True):
    """Linear in its first input (`joint`: in all): movement, gather, fft, convolution data.

    The record writes `eager`, `shape(*specs, **params)` and `transpose(g, *inputs, **params)`,
    the adjoint map; an input that is not read arrives as its Spec. `batched`, if written,
    is (x with batch dim 0, *others, **params) -> result with batch dim 0.
    """

    family = "linear"
    joint: ClassVar[bool] = False
    saves_y = False
    _static = Primitive._static | {"shape", "transpose", "batched"}
    shape: ClassVar[Callable]
    transpose: ClassVar[Callable]
    batched: ClassVar[Callable | None] = None

    def infer(self, *specs, **params):
        return self.shape(*specs, **params)

    def keeps(self, need, count):
        return (False,) * count if self.joint else (False, *(True,) * (count - 1))

    def vjp(self, g, y, xs, params, need):
        if self.joint:
            return self.transpose(g, *xs, **params)
        return (self.transpose(g, *xs, **params), *(None,) * (len(xs) - 1))

    def jvp(self, ts, y, xs, params):
        if self.joint:
            zeros = (
                op.zeros_like(x) if t is None else t
                for t, x in zip(ts, xs, strict=True)
            )
            return bind(self, *zeros, **params)
        return None if ts[0] is None else bind(self, ts[0], *xs[1:], **params)

    def batch(self, size, xs, dims, params):
        others = () if self.joint else dims[1:]
        if self.batched is None or any(d is not None for d in others):
            return super().batch(size, xs, dims, params)
        if self.joint:
            xs = [with_batch(x, d, size) for x, d in zip(xs, dims, strict=True)]
            return self.batched(*xs, **params), 0
        return self.batched(batch_to_front(xs[0], dims[0]), *xs[1:], **params), 0


# ---------------------------------------------------------------- reduction


class Reduction(Primitive, abstract=True):
    """Over `dim` (a tuple) with `keepdim`; dy = sum(weights * dx).

    The record writes `eager(x, *, dim, keepdim)` and `weights(y, x, dim)`, where y has its
    reduced dims kept as 1.
    """

    family = "reduction"
    out: ClassVar[str] = "same"  # same, bool, index, sum (ints to int64)
    _static = Primitive._static | {"weights"}
    weights: ClassVar[Callable | None] = None

    def prepare(self):
        self.differentiable = self.weights is not None
        if self.differentiable:
            names = self._names = _parameters(self.weights)
            self.saves_y = "y" in names
            self._reads = "x" in names

    def infer(self, x, *, dim, keepdim):
        d = {
            "bool": np.dtype(bool),
            "index": np.dtype("int64"),
            "sum": x.dtype if dt.is_inexact(x.dtype) else np.dtype("int64"),
        }.get(self.out, x.dtype)
        return Spec(reduced(x.shape, dim, keepdim), d)

    def keeps(self, need, count):
        return (self._reads,)

    def _weights(self, y, x, dim):
        given = {"y": y, "x": x, "dim": dim}
        return self.weights(**{n: given[n] for n in self._names})

    def vjp(self, g, y, xs, params, need):
        (x,), dim = xs, params["dim"]
        kept = reduced(x.shape, dim, True)
        if not params["keepdim"]:
            g = op.reshape(g, shape=kept)
        y = op.reshape(y, shape=kept) if self.saves_y else None
        w = self._weights(y, x, dim)
        gx = g if w is None else g * conjugate(w)
        shape = tuple(x.shape)
        return (gx if tuple(gx.shape) == shape else op.expand(gx, shape=shape),)

    def jvp(self, ts, y, xs, params):
        (t,), (x,) = ts, xs
        kept = op.reshape(y, shape=reduced(x.shape, params["dim"], True))
        w = self._weights(kept, x, params["dim"])
        return op.sum(t if w is None else t * w, **params)

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        dim = tuple(d + 1 for d in params["dim"])
        return bind(self, x, **{**params, "dim": dim}), 0


def _rule(source, scope):
    """A function of generated source; it counts as a line of this file, not of the user's."""
    return eval(compile(source, f"{__file__} <rule>", "eval"), scope)
