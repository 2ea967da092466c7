"""Write docs/compatibility.md: what each operation can do, found out by running its samples.

python tools/compatibility.py            # or: make docs
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import adjoint as ad
from adjoint.core.primitive import Elementwise, Primitive, op, spec_of
from adjoint.func import jvp, vjp, vmap
from adjoint.functional.pointwise import checked

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"
HEAD = """\
# Compatibility

Written by `make docs`, which runs the samples of every record: nothing here is a promise,
all of it happened, and the shape rule foretold its dtype. A primitive is what functions are
made of; a function may take less than its primitives, as PyTorch's does, and says so, and
may convert what they do not take.

- **reverse**, **forward**, **second**: the derivative by vjp, by jvp, and by vjp of vjp. A dash:
  there is none, as for results that are integers or bool.
- **vmap**: by a *rule* for the whole batch, or by a *loop* over its examples; *mixed* where it
  depends on which inputs have a batch.
- **complex**: value and gradient for complex inputs; *value* where only that.
- **dtypes** of the inputs that are floats in the samples: b bool, i integers, h float16,
  B bfloat16, f float32, d float64.

| operation | family | reverse | forward | second | vmap | complex | dtypes |
|---|---|---|---|---|---|---|---|
"""
LETTERS = {"b": "bool", "i": "int64", "h": "float16", "B": "bfloat16"}
LETTERS |= {"f": "float32", "d": "float64"}


def works(f: Callable, *args) -> bool:
    """Whether it runs."""
    try:
        f(*args)
    except Exception:
        return False
    return True


class Sample:
    """One sample of a record as a function of its moving inputs."""

    def __init__(self, prim: Primitive, args, params):
        self.prim, self.params = prim, params
        self.args = [np.asarray(a) for a in args]
        self.moving = [i for i, a in enumerate(self.args) if a.dtype.kind in "fc"]

    def inputs(self, dtype=None):
        """Tensors of all inputs, the moving ones in `dtype`."""
        np_type = None if dtype is None else ad.dtype(dtype).np
        return [
            ad.from_numpy(a.astype(np_type or a.dtype) if i in self.moving else a)
            for i, a in enumerate(self.args)
        ]

    def f(self, *xs):
        """The op; what an elementwise one takes is checked in its function."""
        if isinstance(self.prim, Elementwise):
            xs = [
                checked(self.prim, x) if i in self.moving else x
                for i, x in enumerate(xs)
            ]
        y = self.prim(*xs, **self.params)
        ys, specs = (y if isinstance(y, tuple) else (y,)), map(spec_of, xs)
        rule = self.prim.infer(*specs, **self.params)
        rules = rule if self.prim.outputs != 1 else (rule,)
        assert [ad.dtype(r.dtype) for r in rules] == [y.dtype for y in ys]
        return y

    def split(self, dtype=None):
        """The op as a function of the moving inputs, giving its inexact outputs; and these."""
        xs = self.inputs(dtype)

        def f(*moving):
            full = list(xs)
            for i, x in zip(self.moving, moving, strict=True):
                full[i] = x
            y = self.f(*full)
            ys = y if isinstance(y, tuple) else (y,)
            return tuple(y for y in ys if y.is_floating_point() or y.is_complex())

        return f, tuple(xs[i] for i in self.moving)

    def value(self, dtype=None) -> None:
        """Compute it."""
        self.f(*self.inputs(dtype))

    def reverse(self, dtype=None):
        """Compute it with its pullback."""
        f, xs = self.split(dtype)
        ys, pull = vjp(f, *xs)
        return pull(tuple(ad.ones_like(y) for y in ys))

    def forward(self) -> None:
        """Push a tangent through."""
        f, xs = self.split()
        jvp(f, xs, tuple(ad.ones_like(x) for x in xs))

    def second(self) -> None:
        """The pullback of the pullback."""
        f, xs = self.split()

        def pulled(*xs):
            ys, pull = vjp(f, *xs)
            return pull(tuple(ad.ones_like(y) for y in ys))

        gs, pull = vjp(pulled, *xs)
        pull(tuple(ad.ones_like(g) for g in gs))

    def batched(self, only_first: bool) -> None:
        """vmap over two examples: all inputs, or the first alone."""
        xs = self.inputs()
        dims = tuple(0 if i == 0 or not only_first else None for i in range(len(xs)))
        both = [
            x if d is None else ad.stack((x, x)) for x, d in zip(xs, dims, strict=True)
        ]
        vmap(self.f, in_dims=dims)(*both)


def loops(run: Callable) -> bool | None:
    """Whether vmap went example by example; None where it failed."""
    seen, usual = [], Primitive.batch

    def watched(self, *args):
        seen.append(self)
        return usual(self, *args)

    Primitive.batch = watched
    try:
        return bool(seen) if works(run) else None
    finally:
        Primitive.batch = usual


def batching(samples: list[Sample]) -> str:
    """How vmap does it."""
    found = {
        loops(lambda s=s, first=first: s.batched(first))
        for s in samples
        for first in (False, True)
        if s.args
    }
    if None in found or not found:
        return "–"
    return "mixed" if len(found) == 2 else "loop" if True in found else "rule"


def row(prim: Primitive) -> str:
    """The line of one record."""
    samples = [Sample(prim, *s) for s in prim.samples(np.random.default_rng(0))]

    def all_work(name, *args):
        return all(works(getattr(s, name), *args) for s in samples)

    def mark(name):
        some = prim.differentiable and any(s.moving for s in samples)
        return "✓" if some and all_work(name) else "–"

    dtypes = complex_ = ""
    # A program that another one calls is written for its dtypes: others may never end.
    if any(s.moving for s in samples) and not prim.calls_back:
        dtypes = "".join(k for k, d in LETTERS.items() if all_work("value", d))
        complex_ = "✓" if all_work("value", "complex128") else "–"
        derivative = mark("reverse") == "✓"
        if complex_ == "✓" and derivative and not all_work("reverse", "complex128"):
            complex_ = "value"
    marks = (mark(n) for n in ("reverse", "forward", "second"))
    cells = (f"`{prim.name}`", prim.family, *marks, batching(samples), complex_, dtypes)
    return f"| {' | '.join(cells)} |\n"


def page() -> str:
    """The page as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = sorted((p for p in op if p.samples), key=lambda p: p.name)
        return HEAD + "".join(map(row, records))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(PAGE.parents[1]))
