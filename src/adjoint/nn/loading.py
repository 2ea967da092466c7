"""Loading a state_dict: everything is matched and checked first, then all of it is taken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from ..autodiff.modes import no_grad
from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError
from .hooks import hooks_of
from .parameter import Buffer, Parameter, as_buffer

EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What a state_dict lacked, and what it had too much."""

    missing_keys: list
    unexpected_keys: list

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


def saved(module) -> dict:
    """What of a module belongs into a state_dict: parameters, then persistent buffers."""
    held = vars(module).items()
    out = {k: x for k, x in held if isinstance(x, Parameter)}
    out |= {k: x for k, x in held if isinstance(x, Buffer) and x.persistent}
    return out


def load(module, state_dict, strict, assign) -> IncompatibleKeys:
    """Match, complain or take; hooks that may change what is missing come before the last."""
    if not isinstance(state_dict, Mapping):
        raise ArgumentTypeError(
            f"Expected state_dict to be dict-like, got {type(state_dict).__name__}",
            hint="ad.load(path) reads one" if isinstance(state_dict, str) else "",
        )
    loader = _Loader(getattr(state_dict, "_metadata", None), assign)
    loader.visit(module, OrderedDict(state_dict), "")
    found = loader.found
    settled = not loader.after  # no hook will still change what was found
    complaint = found if strict else IncompatibleKeys([], [])
    if settled or loader.wrong:
        _complain(module, complaint, loader.wrong)
    with no_grad():
        for step in loader.plan:
            step()
    for hook, owner in loader.after:
        hook(owner, found)
    _complain(module, complaint, [])
    return found


class _Loader:
    """The modules one after the other, the plan of what to copy, and all complaints."""

    def __init__(self, metadata, assign):
        self.metadata, self.assign = metadata or {}, assign
        self.plan, self.wrong, self.after = [], [], []
        self.found = IncompatibleKeys([], [])

    def visit(self, module, state, prefix):
        """Match a module and what is below it."""
        about = dict(self.metadata.get(prefix[:-1], {}), plan=self.plan)
        if self.assign:
            about["assign_to_params_buffers"] = True
        module._load_from_state_dict(
            state, prefix, about, True, *self.found, self.wrong
        )
        for name, child in module._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                part = OrderedDict(
                    (k, v) for k, v in state.items() if k.startswith(below)
                )
                self.visit(child, part, below)
        self.after += [(hook, module) for hook in hooks_of(module, "load_state_dict")]


class Found:
    """What a state_dict has for one module: `match` plans to take it."""

    def __init__(self, state, prefix, metadata, wrong):
        self.state, self.prefix, self.wrong = state, prefix, wrong
        self.plan = metadata.get("plan")
        self.assign = metadata.get("assign_to_params_buffers", False)

    def match(self, module, extra):
        """(missing, unexpected) keys; what fits is planned, the rest put in words."""
        own, missing = saved(module), []
        for name, x in own.items():
            if self.prefix + name in self.state:
                self._tensor(module, name, x)
            else:
                missing.append(self.prefix + name)
        key = self.prefix + EXTRA
        if extra and key in self.state:
            self._do(partial(module.set_extra_state, self.state[key]))
        elif extra:
            missing.append(key)
        return missing, self._unexpected(module, {*own, *([EXTRA] if extra else [])})

    def _unexpected(self, module, known):
        start, parts = len(self.prefix), module._modules
        out = []
        for key in self.state:
            if not key.startswith(self.prefix):
                continue
            name, dot, _ = key[start:].partition(".")
            if name not in (parts if dot else known):
                out.append(key)
        return out

    def _tensor(self, module, name, x):
        key = self.prefix + name
        new = self.state[key]
        if not isinstance(new, Box):
            self.wrong.append(f"{key}: expected a Tensor, got {type(new).__name__}")
            return
        shape, given = tuple(x.shape), tuple(new.shape)
        if shape == () and given == (1,):  # scalars of old files
            new, given = new.reshape(()), ()
        if shape != given:
            self.wrong.append(
                f"size mismatch for {key}: copying a param with shape {list(given)} from "
                f"checkpoint, the shape in current model is {list(shape)}"
            )
            return
        self._do(partial(_take if self.assign else _copy, module, name, new))

    def _do(self, step):
        if self.plan is None:
            step()
        else:
            self.plan.append(step)


def _copy(module, name, new):
    vars(module)[name].copy_(new)


def _take(module, name, new):
    x = vars(module)[name]
    if not isinstance(x, Parameter):
        new = as_buffer(new, True)
    elif isinstance(new, Parameter):
        new.requires_grad_(x.requires_grad)
    else:
        new = Parameter(new, x.requires_grad)
    setattr(module, name, new)


def _complain(module, found, wrong):
    def listed(keys):
        return ", ".join(f'"{k}"' for k in keys)

    lines = list(wrong)
    if found.unexpected_keys:
        keys = listed(found.unexpected_keys)
        lines.insert(0, f"Unexpected key(s) in state_dict: {keys}")
    if found.missing_keys:
        lines.insert(0, f"Missing key(s) in state_dict: {listed(found.missing_keys)}")
    if lines:
        text = "".join(f"\n    {line}" for line in lines)
        raise ArgumentError(
            f"Error(s) in loading state_dict for {type(module).__name__}:{text}",
            hint="strict=False loads what fits by name" if not wrong else "",
        )
