"""Modules as functions of their parameters.

A module is here whatever has `named_parameters`, `named_buffers`, `get_submodule` and is
called; what it holds are attributes of it and of its submodules.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from ..core.bind import Box
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError


def functional_call(
    module,
    parameter_and_buffer_dicts,
    args=None,
    kwargs=None,
    *,
    tie_weights=True,
    strict=False,
):
    """module(*args, **kwargs) with other tensors in the place of those it holds.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.w = nn.Parameter(tensor(2.))
    ...     def forward(self, x):
    ...         return self.w * x
    >>> func.functional_call(Scale(), {"w": tensor(5.)}, tensor(3.))
    tensor(15.)
    """
    given = _merged(parameter_and_buffer_dicts)
    held = _held(module)
    _check_names(module, given, held, strict)
    given = {name: x for name, x in given.items() if name in held}
    if tie_weights:
        given = _tied(given, held)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with ExitStack() as stack:
        for name, x in given.items():
            stack.enter_context(_swapped(module, name, x))
        return module(*args, **(kwargs or {}))


def _merged(dicts):
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, (tuple, list)) or not all(
        isinstance(d, dict) for d in dicts
    ):
        raise ArgumentTypeError(
            "functional_call: expected a dict of tensors, or a tuple of such dicts"
        )
    out = {}
    for d in dicts:
        twice = out.keys() & d.keys()
        if twice:
            raise ArgumentError(
                f"functional_call: {sorted(twice)} appeared in multiple dictionaries"
            )
        out.update(d)
    return out


def _held(module):
    """name -> tensor, with every name of those that have several."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _check_names(module, given, held, strict):
    unknown = sorted(given.keys() - held.keys())
    missing = sorted(held.keys() - given.keys())
    if strict and (unknown or missing):
        raise ArgumentError(
            f"functional_call of {type(module).__name__}: "
            f"unexpected names {unknown}, missing names {missing}"
        )
    for name, x in given.items():
        if not isinstance(x, Box):
            raise ArgumentTypeError(
                f"functional_call: {name} must be a Tensor, got {type(x).__name__}"
            )


def _tied(given, held):
    """The tensor of a name is that of all names for the same parameter."""
    out = dict(given)
    by_tensor = {id(held[name]): (name, x) for name, x in given.items()}
    for name, x in held.items():
        if id(x) not in by_tensor:
            continue
        first, new = by_tensor[id(x)]
        if name in given and given[name] is not new:
            raise ArgumentError(
                f"functional_call: {first} and {name} are tied but given different tensors",
                hint="tie_weights=False swaps them one by one",
            )
        out[name] = new
    return out


@contextmanager
def _swapped(module, name, x):
    path, _, last = name.rpartition(".")
    attributes = vars(module.get_submodule(path))
    before = attributes[last]
    attributes[last] = x
    try:
        yield
    finally:
        attributes[last] = before


def stack_module_state(models):
    """(parameters, buffers) of several modules of one kind, stacked along a first dim.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.w = nn.Parameter(tensor(2.))
    >>> params, buffers = func.stack_module_state([Scale() for _ in range(3)])
    >>> params["w"].tolist()
    [2.0, 2.0, 2.0]
    """
    models = list(models)
    if not models:
        raise ArgumentError("stack_module_state: Expected at least one model, got 0")
    if any(type(m) is not type(models[0]) for m in models):
        raise ArgumentError(
            "stack_module_state: Expected all models to be of the same class"
        )
    if any(m.training != models[0].training for m in models):
        raise ArgumentError(
            "stack_module_state: Expected all models to have the same training/eval mode"
        )
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return _stacked(params, leaves=True), _stacked(buffers, leaves=False)


def _stacked(rows, leaves):
    out = {}
    for name in rows[0]:
        x = op.stack(*(row[name].detach() for row in rows), dim=0)
        needs = leaves and all(row[name].requires_grad for row in rows)
        out[name] = x.requires_grad_() if needs else x
    return out


def replace_all_batch_norm_modules_(root):
    """Make batch normalization below `root` use the statistics of the batch alone, so that
    it can be mapped over: running ones would be written. Returns `root`.

    >>> net = nn.Sequential(nn.BatchNorm1d(2))
    >>> func.replace_all_batch_norm_modules_(net)[0].running_mean is None
    True
    """
    for module in root.modules():
        if any(kind.__name__ == "_BatchNorm" for kind in type(module).__mro__):
            module.running_mean = module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root
