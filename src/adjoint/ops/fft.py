"""Fourier transforms: three linear maps whose adjoints are each other, up to weights.

`norm` is NumPy's word for the factor: of a transform over n points forward, "backward" is 1,
"ortho" 1/√n, "forward" 1/n; of the inverse, the other way round.
"""

from __future__ import annotations

import numpy as np

from ..core import dtype as dt
from ..core.bind import dtype_of
from ..core.primitive import Linear, op
from ..core.shape import Spec

_ADJOINT = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _resized(shape, dim, n):
    return (*shape[:dim], n, *shape[dim + 1 :])


def _matrix(n, sign):
    """The n × n matrix of exp(sign 2πi jk / n): what the transform is by definition."""
    k = np.arange(n)
    return np.exp(sign * 2j * np.pi * np.outer(k, k) / n)


class Fft(Linear):
    """y_k = Σ_j x_j exp(−2πi jk/n) over `dims`; `inverse` has +2πi and the factor 1/n.

    >>> fft.fft(tensor([1., 0., -1., 0.]))
    tensor([0.+0.j, 2.+0.j, 0.+0.j, 2.+0.j])
    """

    def samples(rng):
        return [
            ((_complex(rng, 5, 2),), {"dims": (0,), "inverse": False, "norm": "ortho"}),
            (
                (_complex(rng, 3, 4),),
                {"dims": (0, 1), "inverse": True, "norm": "ortho"},
            ),
            ((_complex(rng, 4),), {"dims": (0,), "inverse": True, "norm": "backward"}),
        ]

    def reference(x, dims, inverse, norm):
        for d in dims:
            n = x.shape[d]
            f = _matrix(n, 1 if inverse else -1)
            f = f / (np.sqrt(n) if norm == "ortho" else n if inverse else 1)
            x = np.moveaxis(np.tensordot(f, x, (1, d)), 0, d)
        return x

    def eager(x, *, dims, inverse, norm):
        return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=dims, norm=norm)

    def shape(x, *, dims, inverse, norm):
        return x

    def transpose(g, x, *, dims, inverse, norm):
        return op.fft(g, dims=dims, inverse=not inverse, norm=_ADJOINT[norm])

    def batched(x, *, dims, inverse, norm):
        dims = tuple(d + 1 for d in dims)
        return op.fft(x, dims=dims, inverse=inverse, norm=norm)


class Rfft(Linear):
    """The first n//2 + 1 points of the transform of a real x along `dim`: the rest mirror them.

    >>> fft.rfft(tensor([1., 0., -1., 0.]))
    tensor([0.+0.j, 2.+0.j, 0.+0.j])
    """

    def samples(rng):
        return [
            ((rng.normal(size=(5, 2)),), {"dim": 0, "norm": "backward"}),
            ((rng.normal(size=(2, 6)),), {"dim": 1, "norm": "ortho"}),
        ]

    def reference(x, dim, norm):
        n = x.shape[dim]
        f = _matrix(n, -1)[: n // 2 + 1] / (np.sqrt(n) if norm == "ortho" else 1)
        return np.moveaxis(np.tensordot(f, x, (1, dim)), 0, dim)

    def eager(x, *, dim, norm):
        return np.fft.rfft(x, axis=dim, norm=norm)

    def shape(x, *, dim, norm):
        half = x.shape[dim] // 2 + 1
        return Spec(_resized(x.shape, dim, half), dt.to_complex(x.dtype))

    def transpose(g, x, *, dim, norm):
        n = x.shape[dim]
        g = g / _mirrored(n, dim, g)
        return op.irfft(g, dim=dim, n=n, norm=_ADJOINT[norm])

    def batched(x, *, dim, norm):
        return op.rfft(x, dim=dim + 1, norm=norm)


class Irfft(Linear):
    """The real y of n points whose `rfft` along `dim` is x.

    >>> fft.irfft(tensor([0., 2., 0.]))
    tensor([ 1.,  0., -1.,  0.])
    """

    def samples(rng):
        return [
            ((_complex(rng, 3, 2),), {"dim": 0, "n": 5, "norm": "backward"}),
            ((_complex(rng, 2, 4),), {"dim": 1, "n": 6, "norm": "ortho"}),
        ]

    def reference(x, dim, n, norm):
        mirror = [min(k, n - k) for k in range(n)]
        full = np.moveaxis(np.take(x, mirror, dim), dim, 0)
        for k in range(n):
            own = full[k].real if 2 * k % n == 0 else full[k]
            full[k] = own.conj() if k > n // 2 else own
        y = np.tensordot(_matrix(n, 1), full, (1, 0)).real
        return np.moveaxis(y / (np.sqrt(n) if norm == "ortho" else n), 0, dim)

    def eager(x, *, dim, n, norm):
        return np.fft.irfft(x, n, axis=dim, norm=norm)

    def shape(x, *, dim, n, norm):
        return Spec(_resized(x.shape, dim, n), dt.to_real(x.dtype))

    def transpose(g, x, *, dim, n, norm):
        y = op.rfft(g, dim=dim, norm=_ADJOINT[norm])
        return y * _mirrored(n, dim, y)

    def batched(x, *, dim, n, norm):
        return op.irfft(x, dim=dim + 1, n=n, norm=norm)


def _mirrored(n, dim, y):
    """How often each point of a half spectrum stands in the whole one: 2, at the ends 1."""
    count = np.full(n // 2 + 1, 2, dt.to_real(dtype_of(y)))
    count[0] = 1
    if n % 2 == 0:
        count[-1] = 1
    return count.reshape(_resized((1,) * y.ndim, dim, n // 2 + 1))
