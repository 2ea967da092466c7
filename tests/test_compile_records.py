"""Every operation in a program: its value and derivatives are those of eager.

All samples of a record make one program, which has for each the value, what comes back from
it, and how it moves; in double precision or in single. `ADJOINT_FUZZ`, as in `make fuzz`,
asks for every dtype.
"""

import os

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile
from adjoint.core import tree
from adjoint.core.dtype import dtype
from adjoint.func import jvp, vjp
from test_compile_coverage import DTYPES, cases
from test_every_op import PRIMS, directions, of_moving, sample, tensors

NAMES = sorted(n for n, p in PRIMS.items() if p.samples and not p.calls_back)
ALL = "ADJOINT_FUZZ" in os.environ
NEAR = {"float16": 3e-3, "bfloat16": 2e-2, "float32": 1e-4, "complex64": 1e-4}
NEAR |= {"float64": 1e-9, "complex128": 1e-9}
OTHERS = [d for d in DTYPES if d not in ("float32", "float64")]
# Records that take floats alone, though NumPy has a result, and what looks into sorted rows.
FLOATS = {"distances", "log_softmax", "softmax", "std", "var", "vector_norm"}
FLOATS |= {"searchsorted", "rnn", "lstm", "gru"}
# What draws counts is asked for them in double precision; a rounding makes it another count.
DOUBLE = {"binomial_of", "poisson_of"}
SINGLE = {"f": np.float32, "c": np.complex64}


def lowered(args, single):
    """Arrays as they are, or in single precision."""
    if not single:
        return args
    return [
        a.astype(SINGLE[a.dtype.kind]) if a.dtype.kind in SINGLE else a for a in args
    ]


def everything(prim, single):
    """(function of tensors, the tensors): all that a record computes of its samples."""
    count = len(prim.samples(np.random.default_rng(0)))
    parts, given = [], []
    for i in range(count):
        args, params = sample(prim, i)
        args = lowered(args, single)
        f, xs = of_moving(prim, args, params)
        ts = directions(xs, 2)
        parts.append((f, prim, params, len(args), len(xs)))
        given.append((tensors(args), tensors(xs), tensors(ts)))

    def run(given):
        out = []
        for (f, prim, params, *_), (args, xs, ts) in zip(parts, given, strict=True):
            out.append(prim(*args, **params))
            if prim.differentiable and xs:
                y, dy = jvp(f, tuple(xs), tuple(ts))
                out.append((y, dy))
                y, pull = vjp(f, *xs)
                out.append(pull(tuple(v * 0.5 + 1 for v in y)))
        return out

    return run, given


def agree(run, given):
    """What a program gives, and that is what the function gives but for rounding."""
    with np.errstate(all="ignore"):
        want = run(given)
        program = compile(run)
        program(given)
        got = program(given)
    assert len(program.programs) == 1
    for a, b in zip(tree.flatten(got)[0], tree.flatten(want)[0], strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        assert a.shape == b.shape and a.dtype == b.dtype
        near = NEAR.get(a.dtype.name, 0)
        a, b = (x.astype(float) if x.dtype.kind == "V" else x for x in (a, b))
        far = abs(b[np.isfinite(b)]).max(initial=1.0) if near else 0
        np.testing.assert_allclose(a, b, near, near * far)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_derivatives(name):
    for single in (False, True) if ALL else [NAMES.index(name) % 2 == 1]:
        agree(*everything(PRIMS[name], single))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in DOUBLE])
def test_values_in_other_dtypes(name):
    prim, start = PRIMS[name], NAMES.index(name)
    for d in OTHERS if ALL else OTHERS[start % len(OTHERS) :][:1]:
        kind = dtype(getattr(ad, d)).np
        found = list(cases(kind, [prim]))
        if found and not (name in FLOATS and kind.kind in "iub"):
            parts = [params for _, _, params in found]
            agree(
                lambda given, parts=parts: [
                    prim(*xs, **params) for xs, params in zip(given, parts, strict=True)
                ],
                [tensors(xs) for _, xs, _ in found],
            )
