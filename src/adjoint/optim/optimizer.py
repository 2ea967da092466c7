"""What all optimizers share: groups of parameters, their state, saving and loading it.

An optimizer is two small methods for one array: `begin` makes its state, `update` changes
the parameter by its gradient. Groups, hooks, closures and state_dict are here.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable

from ..autodiff.modes import enable_grad, no_grad
from ..autodiff.tape import Handle
from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import FUNCTIONS


class Optimizer:
    """Base of all optimizers.

    A subclass passes its options to `__init__` as `defaults` and writes `update(p, g, s, o)`:
    change p in place by the gradient g, with the state s of p and the options o of its group.
    `begin(p, o)` gives the first state; `sparse` and `maximize` are seen to here.
    """

    def __init__(self, params, defaults: dict):
        self.defaults, self.param_groups = defaults, []
        self.state: dict = defaultdict(dict)
        self._hooks: dict = {"pre": OrderedDict(), "post": OrderedDict()}
        groups = _as_groups(params, type(self).__name__)
        for group in groups:
            self.add_param_group(group)

    def begin(self, p, o) -> dict:
        """The state of a parameter before its first update."""
        return {}

    def update(self, p, g, s, o) -> None:
        """Change `p` in place by its gradient `g`."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def add_param_group(self, param_group: dict) -> None:
        """Train more parameters, with options of their own."""
        group = dict(param_group)
        params = group["params"]
        group["params"] = [params] if isinstance(params, Box) else list(params)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            _check_parameter(p, known)
            known.add(id(p))
        for name, value in self.defaults.items():
            if value is required and name not in group:
                raise ArgumentError(f"a parameter group needs a value for {name!r}")
            group.setdefault(name, value)
        self.check(group)
        self.param_groups.append(group)

    def check(self, o: dict) -> None:
        """Raise for options that make no sense; a subclass adds to it."""
        for name in ("lr", "eps", "weight_decay", "momentum"):
            value = o.get(name, 0.0)
            if value is not None and not isinstance(value, Box) and not value >= 0.0:
                raise ArgumentError(f"Invalid {name} value: {value} (must be >= 0)")
        for i, beta in enumerate(o.get("betas") or ()):
            if not 0.0 <= beta < 1.0:
                raise ArgumentError(
                    f"Invalid beta parameter at index {i}: {beta} (must be in [0, 1))"
                )

    # ------------------------------------------------------------ a step

    def step(self, closure: Callable | None = None):
        """Update every parameter that has a gradient; returns the closure's loss."""
        for hook in tuple(self._hooks["pre"].values()):
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for o in self.param_groups:
                for p in o["params"]:
                    if p.grad is not None:
                        self._one(p, o)
        for hook in tuple(self._hooks["post"].values()):
            hook(self, (closure,), {})
        return loss

    def _one(self, p, o):
        g = p.grad.detach()
        g = -g if o.get("maximize") else g
        s = self.state[p]
        if not s:
            s.update(self.begin(p, o))
        self.update(p, g, s, o)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for o in self.param_groups:
            for p in o["params"]:
                if p.grad is not None and not set_to_none:
                    p.grad = FUNCTIONS["zeros_like"](p.grad)
                else:
                    p.grad = None

    def register_step_pre_hook(self, hook):
        """hook(optimizer, args, kwargs) before each step."""
        return Handle(self._hooks["pre"], hook)

    def register_step_post_hook(self, hook):
        """hook(optimizer, args, kwargs) after each step."""
        return Handle(self._hooks["post"], hook)

    # ------------------------------------------------------------ saving

    def state_dict(self) -> dict:
        """State and options, with parameters by number, as PyTorch writes them."""
        number = _numbers(self.param_groups)
        groups = [
            {**o, "params": [number[id(p)] for p in o["params"]]}
            for o in self.param_groups
        ]
        state = {number[id(p)]: dict(s) for p, s in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take back what `state_dict` gave; checked before anything is changed."""
        groups = state_dict["param_groups"]
        sizes = [len(o["params"]) for o in groups]
        if sizes != [len(o["params"]) for o in self.param_groups]:
            raise ArgumentError(
                "loaded state dict has parameter groups of sizes "
                f"{sizes}, the optimizer {[len(o['params']) for o in self.param_groups]}"
            )
        ids = [i for o in groups for i in o["params"]]
        params = [p for o in self.param_groups for p in o["params"]]
        by_id = dict(zip(ids, params, strict=True))
        loaded = {
            by_id[i]: _copied(s, by_id[i]) for i, s in state_dict["state"].items()
        }
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            mine.update({k: v for k, v in theirs.items() if k != "params"})
        self.state = defaultdict(dict, loaded)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, o in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {o[k]}" for k in sorted(o) if k != "params"]
        return "\n".join([*lines, ")"])


class _Required:
    def __repr__(self):
        return "<required parameter>"


required = _Required()


def _as_groups(params, name) -> list[dict]:
    if isinstance(params, Box) or not isinstance(params, Iterable):
        raise ArgumentTypeError(
            f"{name}: params must be an iterable of Tensors or dicts, "
            f"not {type(params).__name__}",
            hint="model.parameters(), or a list",
        )
    params = list(params)
    if not params:
        raise ArgumentError(f"{name} got an empty parameter list")
    if isinstance(params[0], dict):
        return params
    if isinstance(params[0], tuple):  # named_parameters()
        return [{"params": [p for _, p in params]}]
    return [{"params": params}]


def _check_parameter(p, known):
    if not isinstance(p, Box):
        raise ArgumentTypeError(
            f"optimizer can only optimize Tensors, got {type(p).__name__}"
        )
    if not p.is_leaf:
        raise ArgumentError(
            "can't optimize a non-leaf Tensor", hint="detach() it first"
        )
    if id(p) in known:
        raise ArgumentError("some parameters appear in more than one place")


def _numbers(groups) -> dict[int, int]:
    params = [p for o in groups for p in o["params"]]
    return {id(p): i for i, p in enumerate(params)}


def _copied(state: dict, p) -> dict:
    """A copy of a parameter's state, its floating tensors in the parameter's dtype."""

    def one(key, x):
        if not isinstance(x, Box):
            return x
        x = x.detach().clone()
        return x.to(p.dtype) if x.is_floating_point() and key != "step" else x

    return {k: one(k, v) for k, v in state.items()}
