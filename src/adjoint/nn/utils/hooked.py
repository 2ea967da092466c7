"""The older weight_norm and spectral_norm: by a hook that computes the weight before a call.

`parametrizations` has the newer ones; these are for states that were saved with the names
weight_g and weight_v, or weight_orig and weight_u.
"""

from __future__ import annotations

from ...autodiff.modes import no_grad
from ...errors import ArgumentError
from ...functional import creation
from .. import functional as F
from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..hooks import hooks_of
from ..parameter import Parameter
from .parametrizations import as_matrix, iterated, norm_except_dim, tensor_of


class _Computed:
    """A hook before forward that puts a tensor made of others under its old name."""

    def __init__(self, name):
        self.name = name

    def __call__(self, module, inputs):
        setattr(module, self.name, self.of(module, module.training))

    def of(self, module, moving):
        """The tensor; `moving` may change what it is estimated from."""
        raise NotImplementedError


def _remove(module, name, kind):
    """Find and remove the hook of this kind; its last value is a parameter again."""
    for key, (hook, _) in (module._hooks or {}).get("forward_pre", {}).items():
        if isinstance(hook, kind) and hook.name == name:
            with no_grad():
                weight = hook.of(module, False).clone()
            del module._hooks["forward_pre"][key]
            delattr(module, name)
            for part in hook.parts:
                delattr(module, f"{name}{part}")
            module.register_parameter(name, Parameter(weight))
            return module
    raise ArgumentError(f"{kind.what} of '{name}' not found in {module!r}")


def _refuse_twice(module, name, kind) -> None:
    for hook, _ in hooks_of(module, "forward_pre"):
        if isinstance(hook, kind) and hook.name == name:
            raise ArgumentError(
                f"Cannot register two {kind.what} hooks on the same parameter {name}"
            )


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """w = g v/‖v‖, the parameters being `weight_g` and `weight_v`.

    >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    _refuse_twice(module, name, _WeightNorm)
    hook = _WeightNorm(name, -1 if dim is None else dim)
    weight = tensor_of(module, name).detach()
    delattr(module, name)
    lengths = norm_except_dim(weight, hook.dim)
    module.register_parameter(f"{name}_g", Parameter(lengths))
    module.register_parameter(f"{name}_v", Parameter(weight))
    setattr(module, name, hook.of(module, False))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module, name: str = "weight"):
    """The weight as an ordinary parameter again.

    >>> nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(3, 2)))
    Linear(in_features=3, out_features=2, bias=True)
    """
    return _remove(module, name, _WeightNorm)


class _WeightNorm(_Computed):
    what, parts = "weight_norm", ("_g", "_v")

    def __init__(self, name, dim):
        super().__init__(name)
        self.dim = dim

    def of(self, module, moving):
        """g v/‖v‖."""
        g, v = (getattr(module, f"{self.name}{part}") for part in self.parts)
        return v * (g / norm_except_dim(v, self.dim))


def spectral_norm(
    module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
):
    """w / σ, σ the largest singular value, of the parameter `weight_orig`.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    _refuse_twice(module, name, _SpectralNorm)
    if n_power_iterations <= 0:
        raise ArgumentError(
            "Expected n_power_iterations to be positive, but got "
            f"n_power_iterations={n_power_iterations}"
        )
    if dim is None:
        transposed = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
        dim = 1 if isinstance(module, transposed) else 0
    weight = tensor_of(module, name)
    hook = _SpectralNorm(name, n_power_iterations, dim, eps)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    for part, size in zip("uv", as_matrix(weight, dim).shape, strict=True):
        x = creation.empty(size, dtype=weight.dtype).normal_()
        module.register_buffer(f"{name}_{part}", F.normalize(x, dim=0, eps=eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module, name: str = "weight"):
    """The weight as an ordinary parameter again.

    >>> nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(3, 2)))
    Linear(in_features=3, out_features=2, bias=True)
    """
    return _remove(module, name, _SpectralNorm)


class _SpectralNorm(_Computed):
    what, parts = "spectral_norm", ("_orig", "_u", "_v")

    def __init__(self, name, times, dim, eps):
        super().__init__(name)
        self.times, self.dim, self.eps = times, dim, eps

    def of(self, module, moving):
        """w / σ, after some steps of power iteration if `moving`."""
        weight, u, v = (getattr(module, f"{self.name}{part}") for part in self.parts)
        matrix = as_matrix(weight, self.dim)
        for _ in range(self.times if moving else 0):
            self._step(matrix, u, v)
        u, v = u.clone(), v.clone()
        return weight / (u * (matrix @ v)).sum()

    @no_grad()
    def _step(self, matrix, u, v) -> None:
        """v first, then u from it."""
        new, _ = iterated(matrix.mT, u, self.eps)
        v.copy_(new)
        new, _ = iterated(matrix, v, self.eps)
        u.copy_(new)
