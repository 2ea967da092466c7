"""Groups of parameters: what a user may pass, and which options make sense."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real

from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError


class _Required:
    def __repr__(self):
        return "<required parameter>"


required = _Required()

# Options that may not be negative, as PyTorch's messages call them.
_NOT_NEGATIVE = {
    "lr": "learning rate",
    "eps": "epsilon value",
    "weight_decay": "weight_decay value",
    "momentum": "momentum value",
    "momentum_decay": "momentum_decay value",
    "lr_decay": "lr_decay value",
    "initial_accumulator_value": "initial_accumulator_value value",
    "alpha": "alpha value",
}


def as_groups(params, name: str) -> list[dict]:
    """The groups in what a user passes as `params`."""
    if isinstance(params, Box) or not isinstance(params, Iterable):
        raise ArgumentTypeError(
            f"{name}: params must be an iterable of Tensors or dicts, "
            f"not {type(params).__name__}",
            hint="model.parameters(), or a list",
        )
    params = list(params)
    if not params:
        raise ArgumentError(f"{name} got an empty parameter list")
    return params if isinstance(params[0], dict) else [{"params": params}]


def filled_group(given, defaults: dict, others: list[dict]) -> dict:
    """A group with its parameters in a list, names apart, and all options."""
    if not isinstance(given, dict):
        raise ArgumentTypeError(
            f"param_group must be a dict, but got {type(given).__name__}"
        )
    group = dict(given)
    params = group["params"]
    if isinstance(params, set):
        raise ArgumentTypeError(
            "optimizer parameters need to be in an ordered collection, but the order of "
            "a set changes between runs",
            hint="use a list",
        )
    params = [params] if isinstance(params, Box) else list(params)
    _take_names(group, params)
    _check_parameters(group, others)
    for name, value in defaults.items():
        if value is required and name not in group:
            raise ArgumentError(f"a parameter group needs a value for {name!r}")
        group.setdefault(name, value)
    return group


def _take_names(group, params):
    """Of named parameters, such as model.named_parameters(), keep the names apart."""
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ArgumentError(
            f"all parameters should be with or without names, but {len(names)} of "
            f"{len(params)} have one"
        )
    group["params"] = [p[1] for p in params] if names else params
    if names:
        group["param_names"] = names


def _check_parameters(group, others):
    known = {id(p) for o in others for p in o["params"]}
    for p in group["params"]:
        if not isinstance(p, Box):
            raise ArgumentTypeError(
                f"optimizer can only optimize Tensors, got {type(p).__name__}"
            )
        if id(p) in known:
            raise ArgumentError("some parameters appear in more than one place")
        known.add(id(p))
    if any(("param_names" in group) != ("param_names" in o) for o in others):
        raise ArgumentError(
            "all parameter groups should be with or without names of the parameters"
        )


def need_leaves(params) -> None:
    """The error for a parameter that is the result of an operation."""
    for p in params:
        if not p.is_leaf and not p.retains_grad:
            raise ArgumentError(
                "can't optimize a non-leaf Tensor", hint="detach() it first"
            )


def check_options(o: dict) -> None:
    """Raise for numbers that make no sense in any optimizer."""
    for name, called in _NOT_NEGATIVE.items():
        if name in o and not isinstance(o[name], tuple):
            need_at_least_0(o[name], name, called)
    for i, beta in enumerate(o.get("betas") or ()):
        if not 0.0 <= beta < 1.0:
            raise ArgumentError(
                f"Invalid beta parameter at index {i}: {beta} (must be in [0, 1))"
            )
    if o.get("fused") and o.get("foreach"):
        raise ArgumentError("`fused` and `foreach` cannot be `True` together")
    if o.get("fused") and o.get("differentiable"):
        raise ArgumentError("`fused` does not support `differentiable`")


def need_at_least_0(value, name: str, called: str) -> None:
    """The error for an option that is no number, or a negative one."""
    if isinstance(value, Box):
        if value.numel() != 1:
            raise ArgumentError(f"Tensor {name} must be 1-element, not {value.shape}")
        if not hasattr(value.value, "__array__"):
            return  # traced: it has no number yet
        value = value.item()
    if not isinstance(value, Real):
        raise ArgumentTypeError(
            f"{name} must be a number or a Tensor of one, not {type(value).__name__}"
        )
    if not value >= 0:
        raise ArgumentError(f"Invalid {called}: {value} (must be >= 0)")
