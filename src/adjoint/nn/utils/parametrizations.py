"""Known parametrizations: by direction and length, of norm 1, at right angles."""

from __future__ import annotations

from ...autodiff.modes import no_grad
from ...core.bind import Box
from ...errors import ArgumentError, ShapeError
from ...functional import creation, linalg
from ...functional.face import FUNCTIONS
from .. import functional as F
from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .parametrize import register_parametrization

_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def tensor_of(module, name):
    """The tensor of this name."""
    x = getattr(module, name, None)
    if not isinstance(x, Box):
        raise ArgumentError(
            f"Module '{type(module).__name__}' has no parameter or buffer with name "
            f"'{name}'"
        )
    return x


# ---------------------------------------------------------------- length and direction


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """w = g v/‖v‖: lengths g (one an index of `dim`, None: one in all) apart from v.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> [(k, tuple(x.shape)) for k, x in layer.parametrizations.state_dict().items()]
    [('weight.original0', (2, 1)), ('weight.original1', (2, 3))]
    """
    tensor_of(module, name)
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module.register_load_state_dict_pre_hook(_OldNames(name))
    return module


class _WeightNorm(Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        """g v/‖v‖."""
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight):
        """Lengths and directions."""
        return norm_except_dim(weight, self.dim), weight


def norm_except_dim(x, dim):
    """The length of x over all dims but `dim`, over all for −1."""
    if dim == -1:
        return linalg.vector_norm(x)
    dims = [i for i in range(x.ndim) if i != dim % x.ndim]
    return linalg.vector_norm(x, dim=tuple(dims), keepdim=True) if dims else x.abs()


class _OldNames:
    """States of the older weight_norm have weight_g and weight_v."""

    def __init__(self, name):
        self.name = name

    def __call__(self, module, state, prefix, *rest):
        old = [f"{prefix}{self.name}_{k}" for k in "gv"]
        if all(k in state for k in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{self.name}.original{i}"
                state[new] = state.pop(key)


# ---------------------------------------------------------------- largest singular value 1


def spectral_norm(
    module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
):
    """w / σ, σ its largest singular value as a matrix with rows along `dim` (Miyato, 2018).

    σ is found by power iteration, a step or more a call in training.

    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    >>> (linalg.norm(layer.weight, 2) - 1).abs().item() < 0.1
    True
    """
    weight = tensor_of(module, name)
    if dim is None:
        dim = 1 if isinstance(module, _TRANSPOSED) else 0
    norm = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, norm)


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        n = weight.ndim
        if n == 0 or not -n <= dim < n:
            raise ShapeError(f"spectral_norm: no dim {dim} in a tensor of {n} dims")
        if n_power_iterations <= 0:
            raise ArgumentError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % n, eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            self._start(as_matrix(weight.detach(), self.dim))

    def _start(self, matrix) -> None:
        for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
            x = creation.empty(size, dtype=matrix.dtype).normal_()
            self.register_buffer(name, F.normalize(x, dim=0, eps=self.eps))
        self._iterate(matrix, 15)

    @no_grad()
    def _iterate(self, matrix, times) -> None:
        for _ in range(times):
            u, v = iterated(matrix, self._v, self.eps)
            self._u.copy_(u)
            self._v.copy_(v)

    def forward(self, weight):
        """w / σ."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value):
        """The value itself: it may have had norm 1 already."""
        return value


def as_matrix(x, dim):
    """x with `dim` first, as a matrix."""
    return x.movedim(dim, 0).flatten(1) if x.ndim > 1 else x


def iterated(matrix, v, eps):
    """The next left and right singular vectors of the power iteration."""
    u = F.normalize(matrix @ v, dim=0, eps=eps)
    return u, F.normalize(matrix.mH @ u, dim=0, eps=eps)


# ---------------------------------------------------------------- at right angles


def orthogonal(
    module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
):
    """Columns (rows, of a wide matrix) of length 1 at right angles to each other.

    By "matrix_exp", "cayley" (of a skew matrix) or "householder" (reflections); the first for
    square, the last for other matrices if not said. `use_trivialization` starts at the
    present value and multiplies from there.

    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 4))
    >>> (layer.weight.T @ layer.weight).allclose(eye(3), atol=1e-5)
    True
    """
    weight = tensor_of(module, name)
    if weight.ndim < 2:
        raise ShapeError(
            f"Expected a matrix or batch of matrices, got a tensor of {weight.ndim} "
            "dimensions."
        )
    if orthogonal_map is None:
        exp = weight.shape[-2] == weight.shape[-1] or weight.is_complex()
        orthogonal_map = "matrix_exp" if exp else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ArgumentError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    if weight.is_complex() and orthogonal_map == "householder":
        raise ArgumentError(
            "The householder parametrization does not support complex tensors."
        )
    made = _Orthogonal(tuple(weight.shape), orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)


class _Orthogonal(Module):
    def __init__(self, shape, orthogonal_map, use_trivialization):
        super().__init__()
        self.shape, self.orthogonal_map = shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        """The matrix that belongs to the trained numbers X."""
        wide = X.shape[-2] < X.shape[-1]
        X = X.mT if wide else X
        Q = _MAPS[self.orthogonal_map](X)
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if wide else Q

    @no_grad()
    def right_inverse(self, Q):
        """Numbers that give Q, which is made orthogonal if it is not."""
        if tuple(Q.shape) != self.shape:
            raise ShapeError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a "
                f"tensor of shape {tuple(Q.shape)}."
            )
        wide = Q.shape[-2] < Q.shape[-1]
        matrix = Q.mT if wide else Q
        if hasattr(self, "base"):
            self.base = _whole(matrix)
            start = FUNCTIONS["zeros_like"](Q)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        A = _reflections(matrix)
        return A.mT if wide else A


def _skew(X):
    """X − Xᴴ of the lower triangle of X, made square with zeros."""
    n, k = X.shape[-2:]
    X = X.tril()
    if n != k:
        zeros = X.new_zeros((*X.shape[:-1], n - k))
        X = FUNCTIONS["cat"]([X, zeros], -1)
    return X - X.mH


def _by_exponential(X):
    return linalg.matrix_exp(_skew(X))[..., : X.shape[-1]]


def _by_cayley(X):
    """(I − A/2)⁻¹ (I + A/2)."""
    A = _skew(X)
    one = creation.eye(A.shape[-1], dtype=A.dtype)
    return linalg.solve(one - 0.5 * A, one + 0.5 * A)[..., : X.shape[-1]]


def _by_householder(X):
    A = X.tril(-1)
    tau = 2.0 / (1.0 + (A * A).sum(-2))
    signs = X.detach().diagonal(dim1=-2, dim2=-1).int().to(X.dtype)
    return linalg.householder_product(A, tau) * signs.unsqueeze(-2)


_MAPS = {
    "matrix_exp": _by_exponential,
    "cayley": _by_cayley,
    "householder": _by_householder,
}


def _reflections(Q):
    """Householder vectors of Q, with the signs of its reflections on the diagonal."""
    A, tau = FUNCTIONS["geqrf"](Q)
    diagonal = A.diagonal(dim1=-2, dim2=-1)
    signs = diagonal.sign()
    diagonal.copy_(FUNCTIONS["where"](tau == 0, -signs, signs))
    return A


def _whole(Q):
    """A square orthogonal matrix that begins with Q, made orthogonal if it is not."""
    n, k = Q.shape[-2:]
    if n == k and _is_orthogonal(Q):
        return Q.clone()
    if n != k:
        more = creation.empty((*Q.shape[:-1], n - k), dtype=Q.dtype).normal_()
        Q = FUNCTIONS["cat"]([Q, more], -1)
    A, tau = FUNCTIONS["geqrf"](Q)
    signs = A.diagonal(dim1=-2, dim2=-1).sgn()
    return linalg.householder_product(A, tau) * signs.unsqueeze(-2)


def _is_orthogonal(Q) -> bool:
    n, k = Q.shape[-2:]
    one = creation.eye(k, dtype=Q.dtype)
    tiny = 10 * n * FUNCTIONS["finfo"](Q.dtype).eps
    return bool(FUNCTIONS["allclose"](Q.mH @ Q, one, atol=tiny))
