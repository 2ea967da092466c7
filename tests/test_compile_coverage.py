"""What of a program runs as native code: every operation, by its samples, in every dtype.

What NumPy still does is on a list, which may only become shorter.
"""

import numpy as np
import pytest

import adjoint as ad
from adjoint.compiler.native import part
from adjoint.compiler.native.products.contractions import form_of
from adjoint.core.dtype import dtype, is_inexact
from adjoint.core.primitive import Elementwise, spec_of
from adjoint.ir.graph import Graph
from adjoint.ir.passes import prepared

pytest.importorskip("llvmlite")


def names(text):
    return frozenset(text.split())


LINALG = """adjugate cholesky det eig eigh eigvals eigvalsh inv lu matrix_exp pinv qr slogdet
    solve svd svdvals triangular_solve zero_pivot"""
OTHERS = "checked printed rfft tried"
CALLBACKS = names(f"{LINALG} {OTHERS}")
# Besides, of complex numbers: what has no order, and products of what meets at a place.
COMPLEX = names("""adaptive_argmax amax amin argmax argmin argsort cummax_index cummin_index
    distances fft index_reduce irfft kth_index log_softmax median median_index mode_index
    nanmedian rnn searchsorted softmax topk_index""")
# And of whole numbers: what no function of the library asks for.
WHOLE = names("""distances guard logcumsumexp mean pivot_order put recurrence resize
    resize_back rnn std var vector_norm""")
# Records whose rules are not for these kinds, though NumPy has a result.
UNFIT = {("vector_norm", "u"), ("view_as_complex", "c")}
DTYPES = sorted(
    names("""bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64
    complex64 complex128""")
)


def recast(x, d):
    """A sample in another dtype, or None."""
    x = np.asarray(x)
    if x.dtype.kind == "f" and d.kind in "iu":
        return np.round(np.abs(x) * 3).astype(d)
    if x.dtype.kind == "f" and d.kind == "b":
        return x > 0
    if x.dtype.kind == "f" or (x.dtype.kind == "c" and d.kind == "c"):
        return x.astype(d)
    return None if x.dtype.kind == "c" else x


def cases(d, records=None):
    """(record, arrays, params) of all samples that a record takes in this dtype."""
    for prim in ad.op if records is None else records:
        for args, params in prim.samples(np.random.default_rng(0)):
            with np.errstate(invalid="ignore", over="ignore"):
                xs = [recast(x, d) for x in args]
            moved = any(is_inexact(np.asarray(x).dtype) for x in args)
            if any(x is None for x in xs) or (not moved and d != "int64"):
                continue
            if isinstance(prim, Elementwise) and not _takes(prim, d):
                continue
            if (prim.name, d.kind) in UNFIT:
                continue
            if _computes(prim, xs, params):
                yield prim, xs, params


def _takes(prim, d):
    kind = "f" if d.kind == "V" else d.kind
    return kind in prim.takes and not (prim.inexact and kind in "bui")


def _computes(prim, xs, params):
    """Whether eager has this, with the dtype that its rule says."""
    try:
        with np.errstate(all="ignore"):
            ys = prim.eager(*xs, **params)
        specs = prim.infer(*map(spec_of, xs), **params)
    except Exception:
        return False
    ys, specs = (z if prim.outputs != 1 else (z,) for z in (ys, specs))
    return all(np.asarray(y).dtype == s.dtype for y, s in zip(ys, specs, strict=True))


def left_to_numpy(prim, xs, params):
    """The operations of one operation's program that NumPy does."""
    graph = Graph(prim.name)
    inputs = [graph.add_input(f"x{i}", spec_of(x)) for i, x in enumerate(xs)]
    graph.outputs = list(graph.add(prim, inputs, params))
    return _called(part.Part(prepared(graph), {}))


def _called(p):
    found = {
        o.prim.name
        for k in p.schedule.kernels
        for o in k.roots
        if k.kind == "call" or (k.kind == "contract" and form_of(o) is None)
    }
    for parts in p.inner.values():
        for inner in parts.values():
            found |= _called(inner)
    return found


@pytest.mark.parametrize("name", DTYPES)
def test_operations_are_native_or_on_the_list(name):
    d = dtype(getattr(ad, name)).np
    more = {"c": COMPLEX, "i": WHOLE, "u": WHOLE, "b": WHOLE}.get(d.kind, frozenset())
    known = CALLBACKS | more
    found: dict = {}
    for prim, xs, params in cases(d):
        found.setdefault(prim.name, set()).update(left_to_numpy(prim, xs, params))
    assert {n: left for n, left in found.items() if left and n not in known} == {}


def test_the_lists_are_not_longer_than_they_must_be():
    lists = {
        "float64 int64": CALLBACKS,
        "bool int8 int16 int64": WHOLE,
        "complex128": COMPLEX,
    }
    for dtypes, names in lists.items():
        left = {
            prim.name
            for d in dtypes.split()
            for prim, xs, params in cases(np.dtype(d))
            if prim.name in names and left_to_numpy(prim, xs, params)
        }
        assert names - left == set()
