"""What all optimizers share: groups of parameters, steps, state that can be saved.

An optimizer is two small methods for one array: `begin` makes its state, `update` gives
the parameter's new value, in the words of terms.py. Checks of groups are in groups.py, hooks
in hooks.py, the copying of state in saving.py, and how many small parameters become one array
in packs.py.
"""

from __future__ import annotations

from collections.abc import Callable

from ..autodiff.modes import enable_grad, no_grad, set_grad_enabled
from ..core.bind import Box, floor
from ..core.noting import NotingTree
from ..errors import ArgumentTypeError, ShapeError
from ..functional import complexes
from . import packs, saving
from .groups import as_groups, check_options, filled_group, need_leaves, required
from .hooks import (
    Hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    with_hooks,
)

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]


class Optimizer(Hooked):
    """Base of all optimizers.

    A subclass passes its options to `__init__` as `defaults` and writes
    `update(p, g, s, o)`: it returns the new value of the parameter p with gradient g, and
    puts new values into s, the state of p; o are the options of its group. Nothing is
    changed in place there: `step` writes the results into the memory of the parameter and
    of the state. `begin(p, o)` gives the first state; `maximize` is seen to here.

    `pointwise = True` says that `update` treats every element by itself. Then small
    parameters may come to it together as one vector, large ones in pieces, and complex
    ones as pairs of real numbers.

    >>> import adjoint as ad
    >>> class Sign(ad.optim.Optimizer):
    ...     pointwise = True
    ...     def update(self, p, g, s, o):
    ...         return p - o["lr"] * g.sign()
    >>> w = tensor([3., -4.], requires_grad=True)
    >>> opt = Sign([w], {"lr": 0.5})
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([ 2.5000, -3.5000], requires_grad=True)
    """

    pointwise = False
    state_at_once = False  # `begin` when a parameter is added, not at its first step

    def __init__(self, params, defaults: dict):
        self.defaults, self.param_groups, self._remade = defaults, [], 0
        self.state: dict = saving.begun(NotingTree())
        for group in as_groups(params, type(self).__name__):
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = with_hooks(vars(cls)["step"])

    def begin(self, p, o) -> dict:
        """The state of a parameter before its first update."""
        return {}

    def update(self, p, g, s, o):
        """The new value of `p`, of its gradient `g`; new state goes into `s`."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def add_param_group(self, param_group: dict) -> None:
        """Train more parameters, with options of their own.

        >>> opt = ad.optim.SGD([ones(1, requires_grad=True)], lr=0.1)
        >>> opt.add_param_group({"params": [ones(2, requires_grad=True)], "lr": 0.5})
        >>> [group["lr"] for group in opt.param_groups]
        [0.1, 0.5]
        """
        group = filled_group(param_group, self.defaults, self.param_groups)
        if not self.defaults.get("differentiable"):
            need_leaves(group["params"])
        self.check(group)
        self.param_groups.append(group)
        self._remade += 1
        if self.state_at_once:
            for p in group["params"]:
                self.state[p] = self.state_of(p, group)

    def check(self, o: dict) -> None:
        """Raise for options that make no sense; a subclass adds to it.

        What they are to one that has a step of its own, and no `update`, it alone knows.
        """
        kind = type(self)
        if kind.step is Optimizer.step or kind.update is not Optimizer.update:
            check_options(o)

    # ------------------------------------------------------------ a step

    @with_hooks
    def step(self, closure: Callable | None = None):
        """Update every parameter that has a gradient; returns the closure's loss."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for name in ("_remade", "param_groups", "state"):
            floor.get().reads(vars(self), name)
        floor.get().reads(self.param_groups, None)
        for group in self.param_groups:
            floor.get().reads(group, "params")
            floor.get().reads(group["params"], None)
            o = floor.get().options(group)
            params = [p for p in o["params"] if p.grad is not None]
            differentiable = bool(o.get("differentiable"))
            with set_grad_enabled(differentiable):
                if self.pointwise and not differentiable:
                    params = packs.run(self, params, o)
                for p in params:
                    self._one(p, o)
        return loss

    def _one(self, p, o):
        """Update one parameter as it is."""
        g = p.grad if o.get("differentiable") else p.grad.detach()
        s = self.state_of(p, o)
        x, old = p, dict(s)
        if self.pointwise and p.is_complex():
            x, g = complexes.view_as_real(p), complexes.view_as_real(g)
            old = {k: _as_real(v) for k, v in s.items()}
        new = dict(old)
        y = self.result(x, self.update(x, -g if o.get("maximize") else g, new, o))
        y, *values = saving.apart([y, *new.values()], old)
        for k, v in zip(new, values, strict=True):
            if v is not old.get(k):
                saving.put(s, k, old.get(k), v, p)
        if s and self.state.get(p) is not s:
            floor.get().replaces(self.state, p)
            self.state[p] = s
            saving.begun(self.state[p])  # which is another dict, with the same in it
        x.copy_(y)

    def result(self, x, y):
        """What `update` returned for `x`, which must be a tensor like it."""
        name = f"{type(self).__name__}.update must return the parameter's new value"
        if not isinstance(y, Box):
            raise ArgumentTypeError(f"{name}, not {type(y).__name__}")
        if y.shape != x.shape:
            raise ShapeError(f"{name}, of shape {tuple(x.shape)}, not {tuple(y.shape)}")
        return y

    def state_of(self, p, o) -> dict:
        """The state of `p`: what is there, or else its first."""
        s = self.state.get(p)
        if s:
            floor.get().reads(self.state, p)
            for name in s:
                floor.get().reads(s, name)
            return s
        if type(self).begin is Optimizer.begin:
            return saving.begun({})
        with no_grad():
            return saving.begun(self.begin(p, o))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero.

        >>> w = ones(1, requires_grad=True)
        >>> opt = ad.optim.SGD([w])
        >>> (2 * w).backward()
        >>> opt.zero_grad()
        >>> w.grad is None
        True
        """
        for o in self.param_groups:
            for p in o["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def watch_steps(self) -> None:
        """Note from now on whether a step was made, for the schedulers' warnings."""
        if "_own_step" not in vars(self):
            self._opt_called, self._own_step = False, vars(self).get("step")

    def step_was_replaced(self) -> bool:
        """Whether `step` of this object is another than when that began."""
        return vars(self).get("step") is not vars(self).get("_own_step")

    # ------------------------------------------------------------ saving

    def state_dict(self) -> dict:
        """State and options, with parameters by number, as PyTorch writes them.

        >>> w = ones(1, requires_grad=True)
        >>> opt = ad.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> (2 * w).backward()
        >>> opt.step()
        >>> opt.state_dict()["state"]
        {0: {'momentum_buffer': tensor([2.])}}
        """
        for hook in self._hooks_of("state_dict_pre"):
            hook(self)
        out = saving.numbered(self.param_groups, self.state)
        for hook in self._hooks_of("state_dict_post"):
            out = hook(self, out) or out
        return out

    def load_state_dict(self, state_dict: dict) -> None:
        """Take back what `state_dict` gave; checked before anything is changed.

        A PyTorch optimizer's state_dict with NumPy arrays for tensors is taken too.

        >>> w = ones(1, requires_grad=True)
        >>> saved = ad.optim.SGD([w], lr=0.1).state_dict()
        >>> opt = ad.optim.SGD([w])
        >>> opt.load_state_dict(saved)
        >>> opt.param_groups[0]["lr"]
        0.1
        """
        state_dict = dict(state_dict)
        for hook in self._hooks_of("load_state_dict_pre"):
            state_dict = hook(self, state_dict) or state_dict
        groups, state = saving.matched(self.param_groups, state_dict)
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            mine.update(theirs)
        self.state = NotingTree(state)
        self._remade += 1
        for hook in self._hooks_of("load_state_dict_post"):
            hook(self)

    def __getstate__(self):
        return {k: getattr(self, k) for k in ("defaults", "state", "param_groups")}

    def __setstate__(self, state):
        self.__dict__.update(state, _remade=0)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, o in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {o[k]}" for k in sorted(o) if k != "params"]
        return "\n".join([*lines, ")"])


def _as_real(v):
    if isinstance(v, Box) and v.is_complex():
        return complexes.view_as_real(v)
    return v
