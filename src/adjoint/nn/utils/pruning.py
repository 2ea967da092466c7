"""How a parameter w becomes w_orig · mask: a hook before forward that multiplies.

Methods applied to one parameter after another each choose among what the earlier ones left.
Which elements they choose is in prune.py.
"""

from __future__ import annotations

from ...autodiff.modes import no_grad
from ...core.bind import Box
from ...errors import ArgumentError, ArgumentTypeError
from ...functional import alike
from ..hooks import hooks_of


class BasePruningMethod:
    """A hook before forward that puts a parameter times its mask under the parameter's name.

    A subclass writes `compute_mask(t, default_mask)`, and says in `PRUNING_TYPE` what it sees
    of a tensor that is pruned already: "unstructured", the elements that are left;
    "structured", the slices of `dim` of which something is left; "global", everything.

    >>> from adjoint.nn.utils import prune
    >>> class EveryOther(prune.BasePruningMethod):
    ...     def compute_mask(self, t, default_mask):
    ...         mask = default_mask.clone()
    ...         mask.view(-1)[::2] = 0
    ...         return mask
    >>> layer = EveryOther.apply(nn.Linear(4, 1), "weight")
    >>> layer._tensor_name
    'weight'
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name = ""

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t, default_mask):
        """The mask for `t`, within `default_mask`."""
        raise NotImplementedError(f"{type(self).__name__} has no compute_mask")

    def apply_mask(self, module):
        """The parameter times its mask."""
        name = self._tensor_name
        orig, mask = getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask")
        return orig * mask.to(orig.dtype)

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prune the parameter `name` of a module; returns the method that is its hook."""
        before = methods_of(module).get(name)
        now = getattr(module, name, None)
        if not isinstance(now, Box):
            raise ArgumentError(f"{type(module).__name__} has no parameter {name!r}")
        method = cls(*args, **kwargs)
        method._tensor_name = name
        scores = now if importance_scores is None else importance_scores
        need_shape("importance_scores", scores, now)
        with no_grad():
            if before is not None:
                method = PruningContainer(*_members(before), method)
            mask = getattr(module, f"{name}_mask", None)
            mask = alike.ones_like(now) if mask is None else mask
            mask = method.compute_mask(scores.detach(), mask.to(now.dtype))
        _install(module, name, method, before, mask)
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """`t` times the mask that is computed of it, or of its importance."""
        scores = t if importance_scores is None else importance_scores
        need_shape("importance_scores", scores, t)
        mask = alike.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module) -> None:
        """The parameter under its name again, with what was pruned as zeros."""
        name = self._tensor_name
        orig = getattr(module, f"{name}_orig")
        with no_grad():
            orig.data = self.apply_mask(module)
        for gone in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, gone)
        module.register_parameter(name, orig)


def _install(module, name, method, before, mask) -> None:
    """Make `method` the hook of a parameter, with this mask."""
    if before is not None:
        setattr(module, f"{name}_mask", mask)
        hooks = module._hooks["forward_pre"]
        key = next(k for k, (hook, _) in hooks.items() if hook is before)
        hooks[key] = (method, False)
    else:
        parameter = getattr(module, name)
        delattr(module, name)
        module.register_parameter(f"{name}_orig", parameter)
        module.register_buffer(f"{name}_mask", mask)
        module.register_forward_pre_hook(method)
    setattr(module, name, method.apply_mask(module))


def methods_of(module) -> dict:
    """The methods that prune parameters of this very module, by name."""
    hooks = [hook for hook, _ in hooks_of(module, "forward_pre")]
    return {h._tensor_name: h for h in hooks if isinstance(h, BasePruningMethod)}


def _members(method) -> tuple:
    return tuple(method) if isinstance(method, PruningContainer) else (method,)


def need_shape(what, x, t) -> None:
    """The error for what has another shape than the parameter `t`."""
    if tuple(x.shape) != tuple(t.shape):
        raise ArgumentError(
            f"{what} must have the shape of the parameter, got {tuple(x.shape)} and "
            f"{tuple(t.shape)}"
        )


class PruningContainer(BasePruningMethod):
    """Methods that were applied to one parameter after another.

    >>> from adjoint.nn.utils import prune
    >>> layer = nn.Linear(4, 4)
    >>> layer = prune.l1_unstructured(layer, "weight", 8)
    >>> layer = prune.random_unstructured(layer, "weight", 0.5)
    >>> layer.weight_mask.sum()
    tensor(4.)
    """

    def __init__(self, *methods):
        self._pruning_methods: tuple = ()
        if methods:
            self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method) -> None:
        """Take in another method for the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise ArgumentTypeError(
                f"{type(method).__name__} is not a BasePruningMethod subclass"
            )
        if method._tensor_name != self._tensor_name:
            raise ArgumentError(
                f"these methods prune {self._tensor_name!r}, the new one "
                f"{method._tensor_name!r}"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, i):
        return self._pruning_methods[i]

    def compute_mask(self, t, default_mask):
        """The mask so far, with what the latest method leaves of it."""
        latest = self[-1]
        if latest.PRUNING_TYPE == "global":
            return latest.compute_mask(t, default_mask)
        mask = default_mask.clone()
        seen = _left(mask, latest)
        mask[seen] = latest.compute_mask(t[seen], mask[seen])
        return mask


def _left(mask, method):
    """The key of what a method sees behind a mask."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    if method.PRUNING_TYPE != "structured":
        raise ArgumentError(f"unrecognized PRUNING_TYPE {method.PRUNING_TYPE!r}")
    dim = method.dim % mask.ndim
    others = tuple(d for d in range(mask.ndim) if d != dim)
    return (*(slice(None) for _ in range(dim)), mask.sum(others) != 0)
