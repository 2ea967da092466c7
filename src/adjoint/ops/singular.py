"""Singular values and vectors, and the pseudoinverse that is made of them.

Rules: Townsend (2016), Golub & Pereyra (1973).
"""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import to_real
from ..core.primitive import batch_to_front, op, total, with_batch
from ..core.shape import Spec
from ..errors import LinAlgError, ShapeError
from .eigen import by_gaps, check_phase, eigh_by, gaps_of
from .matrix import (
    OfMatrix,
    OfResult,
    as_dtype,
    col,
    complex_well,
    diagonal,
    diagonals,
    finite,
    h,
    lapack,
    like,
    matrix,
    mH,
    mm,
    not_converged,
    part,
    real_and_complex,
    row,
    skew,
    well,
)


def _svd(x):
    return np.linalg.svd(finite(x), full_matrices=False)


class Svd(OfResult):
    """U, descending S and Vᴴ with x = U diag(S) Vᴴ; `full` completes U and V to squares.

    With B = Uᴴ dx V: dS = Re diag B; dU and dV turn within their spaces by the
    skew-Hermitian parts over sⱼ² − sᵢ² and leave them by (1 − U Uᴴ) dx V / S (Townsend
    2016). Completing columns are held constant. `checked` as for eig.

    >>> op.svd(tensor([[3., 0.], [0., 4.]]), full=False, checked=True)[1]
    tensor([4., 3.])
    """

    outputs = 3
    errors = staticmethod(
        lambda: [
            ((np.ones(3),), {"full": False, "checked": True}, ShapeError, "2 dims"),
            (
                (np.full((2, 2, 2), np.nan),),
                {"full": False, "checked": True},
                LinAlgError,
                "batch element 0: the matrix contains non-finite values",
            ),
        ]
    )

    def samples(rng):
        p = {"full": False, "checked": False}
        return [((well(rng, *s),), p) for s in [(3, 3), (2, 4, 2), (2, 3)]]

    def reference(x, full, checked):
        """From the eigenvectors of xᵀx, with the signs that LAPACK chose."""
        k = min(x.shape[-2:])
        w, v = np.linalg.eigh(h(x) @ x)
        s, v = np.sqrt(w[..., ::-1][..., :k]), v[..., ::-1][..., :k]
        theirs = np.linalg.svd(x, full_matrices=False)[2]
        v = v * np.sign((v * h(theirs)).sum(-2))[..., None, :]
        return x @ v / s[..., None, :], s, h(v)

    def eager(x, *, full, checked):
        def f(x):
            return np.linalg.svd(finite(x), full_matrices=full)

        return tuple(lapack("svd", f, not_converged, x))

    def infer(self, x, *, full, checked):
        m, n = matrix(x, "svd").shape[-2:]
        k, lead = min(m, n), tuple(x.shape[:-2])
        return (
            Spec((*lead, m, m if full else k), x.dtype),
            Spec((*lead, k), to_real(x.dtype)),
            Spec((*lead, n if full else k, n), x.dtype),
        )

    def vjp(self, g, y, xs, params, need):
        u, s, vh = _thin(y, params)
        gu, gs, gvh = _thin(g, params, s.shape[-1])
        d = dtype_of(u)
        inner = None if gs is None else as_dtype(diagonals(gs), d)
        gaps = as_dtype(gaps_of(s * s), d)
        sc = as_dtype(s, d)
        spin_u = None if gu is None else skew(mm(mH(u), gu))
        spin_v = None if gvh is None else skew(mm(vh, mH(gvh)))
        if d.kind == "c":
            inner = total(inner, _turned(spin_u, spin_v, sc, params["checked"]))
        if gu is not None:
            inner = total(inner, by_gaps(spin_u, gaps) * row(sc))
        if gvh is not None:
            inner = total(inner, col(sc) * by_gaps(spin_v, gaps))
        gx = mm(mm(u, inner), vh)
        if gu is not None and u.shape[-2] > s.shape[-1]:
            off = gu / row(sc)
            gx = gx + mm(off - mm(u, mm(mH(u), off)), vh)
        if gvh is not None and vh.shape[-1] > s.shape[-1]:
            off = gvh / col(sc)
            gx = gx + mm(u, off - mm(mm(off, mH(vh)), vh))
        return (gx,)

    def jvp(self, ts, y, xs, params):
        u, s, vh = _thin(y, params)
        t, d = ts[0], dtype_of(u)
        v, sc = mH(vh), as_dtype(s, d)
        b = mm(mm(mH(u), t), v)
        gaps = as_dtype(gaps_of(s * s), d)
        bs, sb = b * row(sc), col(sc) * b
        spin_u, spin_v = by_gaps(bs + mH(bs), gaps), by_gaps(sb + mH(sb), gaps)
        if d.kind == "c":
            turn = diagonals(op.cast(op.imag(diagonal(b)) / (s * 2), dtype=d) * 1j)
            spin_u, spin_v = spin_u + turn, spin_v - turn
        tu, tv = mm(u, spin_u), mm(v, spin_v)
        if u.shape[-2] > s.shape[-1]:
            off = mm(t, v) / row(sc)
            tu = tu + off - mm(u, mm(mH(u), off))
        if v.shape[-2] > s.shape[-1]:
            off = mm(mH(t), u) / row(sc)
            tv = tv + off - mm(v, mm(vh, off))
        return _completed(tu, y[0]), like(diagonal(b), s), mH(_completed(tv, mH(y[2])))


def _thin(y, params, k=None):
    """U, S, Vᴴ (or their cotangents, of which some are None) without completing columns."""
    u, s, vh = y
    if not params["full"]:
        return u, s, vh
    k = s.shape[-1] if k is None else k
    u = None if u is None else part(u, (0, u.shape[-2]), (0, k))
    vh = None if vh is None else part(vh, (0, k), (0, vh.shape[-1]))
    return u, s, vh


def _completed(t, full):
    """Tangents of singular vectors with zeros for completing columns."""
    missing = full.shape[-1] - t.shape[-1]
    if not missing:
        return t
    rest = op.zeros_like(part(full, (0, full.shape[-2]), (0, missing)))
    return op.cat(t, rest, dim=t.ndim - 1)


def _turned(spin_u, spin_v, s, checked):
    """The diagonal that complex phases add: uᵢ and vᵢ turn against each other."""
    if spin_u is None and spin_v is None:
        return None
    parts = [None if x is None else diagonal(x) for x in (spin_u, spin_v)]
    if checked:
        check_phase(op.imag(total(*parts)), "svd")
    # half of the difference: only the part that turns both vectors alike is arbitrary
    turned = total(parts[0], None if parts[1] is None else -parts[1])
    return diagonals(turned / (s * 4))


class Svdvals(OfMatrix):
    """Descending singular values of x, without the vectors.

    >>> op.svdvals(tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """

    saves_y = False
    samples = real_and_complex((3, 3), (2, 4, 2), (2, 3))
    reference = staticmethod(
        lambda x: np.sqrt(
            np.linalg.eigvalsh(h(x) @ x)[..., ::-1][..., : min(x.shape[-2:])]
        )
    )

    def eager(x):
        def values(x):
            return np.linalg.svd(finite(x), compute_uv=False)

        return lapack("svdvals", values, not_converged, x)

    def infer(self, x):
        shape = matrix(x, "svdvals").shape
        return Spec((*shape[:-2], min(shape[-2:])), to_real(x.dtype))

    def vjp(self, g, y, xs, params, need):
        u, _, vh = op.svd(xs[0], full=False, checked=True)
        return (mm(u * row(g), vh),)

    def jvp(self, ts, y, xs, params):
        u, s, vh = op.svd(xs[0], full=False, checked=True)
        return like(diagonal(mm(mm(mH(u), ts[0]), mH(vh))), s)


class Pinv(OfResult):
    """The Moore-Penrose inverse of x; singular values up to max(x₂, x₃ σ₁) count as zero.

    dy = −y dx y + y yᴴ dxᴴ (1 − x y) + (1 − y x) dxᴴ yᴴ y (Golub & Pereyra 1973), of
    constant rank. `uplo` not empty: x is Hermitian and that triangle of it is read.

    >>> op.pinv(tensor([[2., 0.], [0., 0.]]), tensor(0.), tensor(1e-6), uplo='')
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """

    def samples(rng):
        zero = np.zeros((), np.int64)
        u = {"uplo": ""}
        return [
            ((well(rng, 4, 2), zero, zero), u),
            ((well(rng, 2, 2, 3), zero, zero), u),
            ((complex_well(rng, 2, 2), zero, zero), u),
        ]

    reference = staticmethod(lambda x, atol, rtol, uplo: np.linalg.pinv(x))

    def eager(x, atol, rtol, *, uplo):
        if uplo:
            w, v = lapack("pinv", eigh_by(uplo), not_converged, x)
            u, s, vh = v, w, h(v)
        else:
            u, s, vh = lapack("pinv", _svd, not_converged, x)
        size = np.abs(s)
        top = size.max(-1, keepdims=True, initial=0)
        atol, rtol = np.asarray(atol)[..., None], np.asarray(rtol)[..., None]
        kept = size > np.maximum(atol, rtol * top)
        inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
        return ((h(vh) * inverse[..., None, :]) @ h(u)).astype(x.dtype)

    def infer(self, x, atol, rtol, *, uplo):
        matrix(x, "pinv")
        return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)

    def keeps(self, need, count):
        return (True, False, False)

    def vjp(self, g, y, xs, params, need):
        x, yh, gh = xs[0], mH(y), mH(g)
        # each term is the adjoint of its counterpart in jvp
        gx = -mm(mm(yh, g), yh)
        right = mm(gh, mm(y, yh))
        left = mm(mm(yh, y), gh)
        gx = gx + right - mm(mm(x, y), right)
        gx = gx + left - mm(left, mm(y, x))
        return gx, None, None

    def jvp(self, ts, y, xs, params):
        t, x = ts[0], xs[0]
        if t is None:
            return None
        th, yh = mH(t), mH(y)
        right = mm(mm(y, yh), th)
        left = mm(th, mm(yh, y))
        out = right - mm(right, mm(x, y)) + left - mm(mm(y, x), left)
        return out - mm(mm(y, t), y)

    def batch(self, size, xs, dims, params):
        x = with_batch(xs[0], dims[0], size)
        limits = (
            c if d is None else _aligned(batch_to_front(c, d), x.ndim - 2)
            for c, d in zip(xs[1:], dims[1:], strict=True)
        )
        return op.pinv(x, *limits, **params), 0


def _aligned(x, rank: int):
    """`x` with dims of size 1 after its first, so that it has `rank` dims."""
    return op.reshape(x, shape=(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]))
