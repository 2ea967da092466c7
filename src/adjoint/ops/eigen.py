"""Eigenvalues and eigenvectors.

Rules: Giles (2008).
"""

from __future__ import annotations

import numpy as np

from ..core.bind import at_bottom, dtype_of
from ..core.dtype import to_complex, to_real
from ..core.primitive import op, total
from ..core.shape import Spec
from ..errors import GradError
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
    hermitian,
    hermitian_of,
    lapack,
    like,
    mH,
    mm,
    not_converged,
    not_square,
    on_diagonal,
    only,
    positive,
    row,
    skew,
    square,
)


def gaps_of(w):
    """wⱼ − wᵢ, with ones on the diagonal."""
    return op.where(
        on_diagonal(w.shape[-1], w.shape[-1]), np.ones((), dtype_of(w)), row(w) - col(w)
    )


def by_gaps(x, gaps):
    """x / gaps off the diagonal, zero on it; repeated values give Inf or NaN."""
    return only(~on_diagonal(*x.shape[-2:]), x) / gaps


def check_phase(angle, name: str):
    """Refuse a loss that depends on the phase of complex vectors, which is arbitrary."""
    found = at_bottom(angle)
    if isinstance(found, np.ndarray) and not np.allclose(found, 0, rtol=0, atol=1e-2):
        raise GradError(
            f"{name}: in the complex case vectors are determined up to a phase "
            "exp(i φ), and this function depends on it: its derivative is ill-defined",
            hint="use a function of the vectors that no phase changes, such as abs()",
        )


def eigh_by(uplo):
    """NumPy's function for the triangle `uplo`, or for the mean of both."""
    if uplo:
        return lambda x: np.linalg.eigh(finite(x), uplo)
    return lambda x: np.linalg.eigh(finite(hermitian_of(x, "")))


class Eigh(OfResult):
    """Ascending eigenvalues and orthonormal eigenvectors of Hermitian x.

    `uplo` L or U reads that triangle of x, '' their mean. With B = Vᴴ dx V:
    dw = diag B, dV = V (B / (wⱼ − wᵢ)) off the diagonal.

    >>> op.eigh(tensor([[2., 0.], [0., 1.]]), uplo="L")[0]
    tensor([1., 2.])
    """

    outputs = 2

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * positive(rng, 3, 3)
        return [
            ((a,), {"uplo": ""}),
            ((a[:2, :2] + np.zeros((2, 1, 1)),), {"uplo": ""}),
        ]

    def reference(x, uplo):
        w, v = np.linalg.eig(x)
        order = np.argsort(w.real, -1)
        w = np.take_along_axis(w.real, order, -1)
        v = np.take_along_axis(v.real, order[..., None, :], -1)
        theirs = np.linalg.eigh(x)[1]
        return w, v * np.sign((v * theirs).sum(-2))[..., None, :]

    errors = not_square(uplo="L")

    def eager(x, *, uplo):
        return tuple(lapack("eigh", eigh_by(uplo), not_converged, x))

    def infer(self, x, *, uplo):
        square(x, "eigh")
        return Spec(x.shape[:-1], to_real(x.dtype)), x

    def vjp(self, g, y, xs, params, need):
        (w, v), (gw, gv) = y, g
        d = dtype_of(v)
        inner = None if gw is None else as_dtype(diagonals(gw), d)
        if gv is not None:
            spin = mm(mH(v), gv)
            if d.kind == "c":
                check_phase(op.imag(diagonal(spin)), "eigh")
            spin = by_gaps(skew(spin) * 0.5, as_dtype(gaps_of(w), d))
            inner = total(inner, spin)
        return (mm(mm(v, inner), mH(v)),)

    def jvp(self, ts, y, xs, params):
        w, v = y
        b = mm(mm(mH(v), hermitian(ts[0])), v)
        tw = like(diagonal(b), w)
        return tw, mm(v, by_gaps(b, as_dtype(gaps_of(w), dtype_of(b))))


class Eigvalsh(OfMatrix):
    """Ascending eigenvalues of Hermitian x, without the vectors.

    >>> op.eigvalsh(tensor([[2., 0.], [0., 1.]]), uplo="L")
    tensor([1., 2.])
    """

    saves_y = False

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * positive(rng, 3, 3)
        c = a + 0.2j * rng.normal(size=(3, 3))
        return [((a,), {"uplo": ""}), ((c,), {"uplo": ""})]

    def reference(x, uplo):
        return np.sort(np.linalg.eigvals((x + h(x)) / 2).real, -1)

    errors = not_square(uplo="L")

    def eager(x, *, uplo):
        x = hermitian_of(x, "") if not uplo else x

        def values(x):
            return np.linalg.eigvalsh(finite(x), uplo or "L")

        return lapack("eigvalsh", values, not_converged, x)

    def infer(self, x, *, uplo):
        return Spec(square(x, "eigvalsh").shape[:-1], to_real(x.dtype))

    def vjp(self, g, y, xs, params, need):
        v = op.eigh(xs[0], **params)[1]
        return (mm(v * row(g), mH(v)),)

    def jvp(self, ts, y, xs, params):
        v = op.eigh(xs[0], **params)[1]
        t = diagonal(mm(mm(mH(v), hermitian(ts[0])), v))
        return op.real(t) if dtype_of(t).kind == "c" else t


class Eig(OfResult):
    """Complex eigenvalues and eigenvectors of norm one of square x.

    With B = V⁻¹ dx V: dw = diag B, dV = V (P − Re diag(Vᴴ V P)), P = B / (wⱼ − wᵢ).
    `checked` refuses cotangents that depend on the phase of the vectors.

    >>> op.eig(tensor([[2., 0.], [0., 1.]]), checked=True)[0]
    tensor([2.+0.j, 1.+0.j])
    """

    outputs = 2

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * rng.normal(size=(3, 3))
        return [((a,), {"checked": False})]

    def reference(x, checked):
        """Newton's polynomial for the values; the vectors span the null spaces."""
        w, theirs = np.linalg.eig(x)
        v = np.empty(x.shape)
        for i in range(len(w)):
            v[:, i] = np.linalg.svd(x - w[i].real * np.eye(len(w)))[2][-1]
            v[:, i] *= np.sign(v[:, i] @ theirs[:, i].real)
        values = np.roots(np.poly(x))
        order = [abs(values - z).argmin() for z in w]
        return values[order].astype(complex), v.astype(complex)

    errors = not_square(checked=True)

    def eager(x, *, checked):
        w, v = lapack("eig", lambda x: np.linalg.eig(finite(x)), not_converged, x)
        d = to_complex(x.dtype)
        return w.astype(d), v.astype(d)

    def infer(self, x, *, checked):
        d = to_complex(square(x, "eig").dtype)
        return Spec(x.shape[:-1], d), Spec(x.shape, d)

    def vjp(self, g, y, xs, params, need):
        (w, v), (gw, gv) = y, g
        vh = mH(v)
        inner = None if gw is None else diagonals(gw)
        if gv is not None:
            spin = mm(vh, gv)
            along = diagonal(spin)
            if params["checked"]:
                check_phase(op.imag(along), "eig")
            spin = spin - mm(vh, v) * row(_like_complex(op.real(along), v))
            inner = total(inner, by_gaps(spin, op.conj(gaps_of(w))))
        gx = op.solve(vh, mm(inner, vh), check=False)
        return (like(gx, xs[0]),)

    def jvp(self, ts, y, xs, params):
        w, v = y
        b = op.solve(v, mm(as_dtype(ts[0], dtype_of(v)), v), check=False)
        p = by_gaps(b, gaps_of(w))
        along = op.real(diagonal(mm(mm(mH(v), v), p)))
        return diagonal(b), mm(v, p) - v * row(_like_complex(along, v))


def _like_complex(x, v):
    """Real x in the complex dtype of v."""
    return op.cast(x, dtype=dtype_of(v))


class Eigvals(OfMatrix):
    """Complex eigenvalues of square x, without the vectors.

    >>> op.eigvals(tensor([[0., 1.], [-1., 0.]]))
    tensor([0.+1.j, 0.-1.j])
    """

    saves_y = False
    errors = not_square()

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * rng.normal(size=(3, 3))
        c = np.array([[0.5, 2.0], [-1.0, 0.3]]) + 0.2 * complex_well(rng, 2, 2)
        return [((a,), {}), ((c,), {})]

    def reference(x):
        values = np.roots(np.poly(x))
        order = [abs(values - z).argmin() for z in np.linalg.eigvals(x)]
        return values[order].astype(complex)

    def eager(x):
        w = lapack("eigvals", lambda x: np.linalg.eigvals(finite(x)), not_converged, x)
        return w.astype(to_complex(x.dtype))

    def infer(self, x):
        return Spec(square(x, "eigvals").shape[:-1], to_complex(x.dtype))

    def vjp(self, g, y, xs, params, need):
        vh = mH(op.eig(xs[0], checked=True)[1])
        gx = op.solve(vh, col(g) * vh, check=False)
        return (like(gx, xs[0]),)

    def jvp(self, ts, y, xs, params):
        v = op.eig(xs[0], checked=True)[1]
        t = mm(as_dtype(ts[0], dtype_of(v)), v)
        return diagonal(op.solve(v, t, check=False))
