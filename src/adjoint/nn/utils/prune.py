"""Pruning: a parameter w becomes w_orig · mask, masks chosen by size, by chance or by hand.

What methods have in common, and the hook that multiplies, is in pruning.py.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

from ...autodiff.modes import no_grad
from ...errors import ArgumentError, ArgumentTypeError, DimError
from ...functional import alike
from ...functional.face import FUNCTIONS
from .pruning import BasePruningMethod, PruningContainer, methods_of, need_shape
from .vectors import parameters_to_vector

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


# ---------------------------------------------------------------- how much


def _amount(amount):
    """An amount as it is, if it is a share within [0, 1] or a count."""
    if not isinstance(amount, Real) or isinstance(amount, bool):
        raise ArgumentTypeError(
            f"Invalid type for amount: {amount!r}. Must be int or float."
        )
    if amount < 0 or (not isinstance(amount, Integral) and amount > 1):
        raise ArgumentError(
            f"amount={amount} should either be a float in the range [0, 1] or a "
            "non-negative integer"
        )
    return amount


def _count(amount, size: int) -> int:
    """How many of `size` an amount is."""
    if not isinstance(amount, Integral):
        return round(amount * size)
    if amount > size:
        raise ArgumentError(
            f"amount={amount} should be smaller than the number of parameters to "
            f"prune={size}"
        )
    return int(amount)


def _slices(t, dim) -> int:
    """How many slices of `dim` there are to choose from."""
    if t.ndim < 2:
        raise ArgumentError(
            "Structured pruning can only be applied to multidimensional tensors. Found "
            f"tensor of shape {tuple(t.shape)} with {t.ndim} dims"
        )
    if not -t.ndim <= dim < t.ndim:
        raise DimError(f"Invalid index {dim} for tensor of size {tuple(t.shape)}")
    return t.shape[dim]


def _without(mask, scores, count: int):
    """The mask without those `count` elements that have the smallest scores."""
    mask = mask.clone()
    if count:
        smallest = FUNCTIONS["topk"](scores.reshape(-1), count, largest=False)[1]
        mask.view(-1)[smallest] = 0
    return mask


def _without_slices(mask, scores, count: int, dim: int):
    """The same for slices along a dim."""
    keep = _without(alike.ones_like(scores), scores, count)
    shape = [1] * mask.ndim
    shape[dim] = -1
    return mask * keep.reshape(shape).to(mask.dtype)


# ---------------------------------------------------------------- methods


class Identity(BasePruningMethod):
    """Prunes nothing, but has a mask of ones."""

    def compute_mask(self, t, default_mask):
        """The mask as it is."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements by chance."""

    def __init__(self, amount):
        self.amount = _amount(amount)

    def compute_mask(self, t, default_mask):
        """The mask without some."""
        n = _count(self.amount, t.numel())
        return _without(default_mask, FUNCTIONS["rand_like"](t), n)


class L1Unstructured(BasePruningMethod):
    """Prunes the elements of smallest absolute value."""

    def __init__(self, amount):
        self.amount = _amount(amount)

    def compute_mask(self, t, default_mask):
        """The mask without the smallest."""
        return _without(default_mask, t.abs(), _count(self.amount, t.numel()))


class RandomStructured(BasePruningMethod):
    """Prunes whole slices along `dim` by chance."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1):
        self.amount, self.dim = _amount(amount), dim

    def compute_mask(self, t, default_mask):
        """The mask without some slices."""
        n = _count(self.amount, size := _slices(t, self.dim))
        return _without_slices(default_mask, FUNCTIONS["rand"](size), n, self.dim)


class LnStructured(BasePruningMethod):
    """Prunes the slices along `dim` of smallest n-norm."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, n, dim=-1):
        self.amount, self.n, self.dim = _amount(amount), n, dim

    def compute_mask(self, t, default_mask):
        """The mask without the smallest slices."""
        count = _count(self.amount, _slices(t, self.dim))
        others = tuple(d for d in range(t.ndim) if d != self.dim % t.ndim)
        norms = FUNCTIONS["norm"](t, p=self.n, dim=others)
        return _without_slices(default_mask, norms, count, self.dim)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask leaves out."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        """Both masks."""
        need_shape("mask", self.mask, default_mask)
        return default_mask * self.mask.to(default_mask.dtype)


# ---------------------------------------------------------------- functions


def identity(module, name):
    """A mask of ones for the parameter `name`; returns the module, as all of these do.

    >>> from adjoint.nn.utils import prune
    >>> list(prune.identity(nn.Linear(2, 1), "weight").state_dict())
    ['bias', 'weight_orig', 'weight_mask']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune a share or a number of the elements, by chance.

    >>> from adjoint.nn.utils import prune
    >>> layer = prune.random_unstructured(nn.Linear(4, 4), "weight", amount=0.25)
    >>> (layer.weight == 0).sum()
    tensor(4)
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the elements of smallest absolute value, or of smallest importance.

    >>> from adjoint.nn.utils import prune
    >>> layer = nn.Linear(3, 1)
    >>> layer.weight = nn.Parameter(tensor([[1., -3., 2.]]))
    >>> prune.l1_unstructured(layer, "weight", amount=1).weight.tolist()
    [[0.0, -3.0, 2.0]]
    """
    scores = {"importance_scores": importance_scores}
    L1Unstructured.apply(module, name, amount=amount, **scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune whole slices along `dim`, by chance.

    >>> from adjoint.nn.utils import prune
    >>> layer = prune.random_structured(nn.Linear(4, 3), "weight", amount=1, dim=0)
    >>> layer.weight_mask.sum(1).sort().values
    tensor([0., 4., 4.])
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the slices along `dim` of smallest n-norm.

    >>> from adjoint.nn.utils import prune
    >>> layer = nn.Linear(2, 2)
    >>> layer.weight = nn.Parameter(tensor([[1., 1.], [2., 0.]]))
    >>> prune.ln_structured(layer, "weight", 0.5, n=2, dim=0).weight.tolist()
    [[0.0, 0.0], [2.0, 0.0]]
    """
    scores = {"importance_scores": importance_scores}
    LnStructured.apply(module, name, amount, n, dim, **scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune what is 0 in a mask.

    >>> from adjoint.nn.utils import prune
    >>> layer = prune.custom_from_mask(nn.Linear(2, 1), "bias", tensor([0]))
    >>> layer.bias.item()
    0.0
    """
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prune elements chosen among several parameters together: [(module, name), ...].

    >>> from adjoint.nn.utils import prune
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    >>> both = [(net[0], "weight"), (net[1], "weight")]
    >>> prune.global_unstructured(both, prune.L1Unstructured, amount=6)
    >>> (net[0].weight == 0).sum() + (net[1].weight == 0).sum()
    tensor(6)
    """
    given = {} if importance_scores is None else importance_scores
    method = pruning_method(**kwargs)
    _check_global(parameters, given, method)
    held = [getattr(m, name) for m, name in parameters]
    mask, start = _mask_of_all(method, parameters, held, given), 0
    for (module, name), x in zip(parameters, held, strict=True):
        end = start + math.prod(x.shape)
        custom_from_mask(module, name, mask[start:end].reshape(x.shape))
        start = end


def _check_global(parameters, scores, method) -> None:
    """The errors for what cannot be pruned together."""
    if not isinstance(parameters, (list, tuple)):
        raise ArgumentTypeError(
            "global_unstructured: parameters must be a list of (module, name)"
        )
    if not isinstance(scores, dict):
        raise ArgumentTypeError(
            "global_unstructured: importance_scores must be a dict of (module, name)"
        )
    if method.PRUNING_TYPE != "unstructured":
        raise ArgumentTypeError(
            'global_unstructured takes methods of PRUNING_TYPE "unstructured", '
            f"{type(method).__name__} is {method.PRUNING_TYPE!r}"
        )


@no_grad()
def _mask_of_all(method, parameters, held, given):
    """The mask of parameters one after the other, by their scores where some are given."""
    scores, masks = [], []
    for (module, name), x in zip(parameters, held, strict=True):
        scores.append(given.get((module, name), x))
        need_shape("importance_scores", scores[-1], x)
        mask = getattr(module, f"{name}_mask", None)
        masks.append(alike.ones_like(x) if mask is None else mask)
    both = parameters_to_vector(scores), parameters_to_vector(masks)
    return PruningContainer(method).compute_mask(*both)


def remove(module, name):
    """End the pruning of a parameter: it has zeros for good, and no mask and no hook.

    >>> from adjoint.nn.utils import prune
    >>> layer = prune.random_unstructured(nn.Linear(2, 2), "weight", 2)
    >>> layer = prune.remove(layer, "weight")
    >>> (layer.weight == 0).sum(), list(layer.state_dict())
    (tensor(2), ['bias', 'weight'])
    """
    method = methods_of(module).get(name)
    if method is None:
        raise ArgumentError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    method.remove(module)
    hooks = module._hooks["forward_pre"]
    for key in [k for k, (hook, _) in hooks.items() if hook is method]:
        del hooks[key]
    return module


def is_pruned(module) -> bool:
    """Whether a parameter of a module, or of one within it, is pruned.

    >>> from adjoint.nn.utils import prune
    >>> layer = nn.Linear(2, 2)
    >>> prune.is_pruned(layer), prune.is_pruned(prune.identity(layer, "bias"))
    (False, True)
    """
    return any(methods_of(m) for m in module.modules())
