"""Module: an object whose parameters, buffers and submodules are its attributes.

Nothing is registered elsewhere: what `parameters()` yields is what the object holds. Names,
order and messages are PyTorch's, so that a state_dict of one loads into the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..autodiff.modes import no_grad
from ..autodiff.tape import Handle
from ..core.bind import Box, changed
from ..errors import ArgumentError, ArgumentTypeError, scope
from ..functional.face import FUNCTIONS, np_dtype
from ..tensor import Tensor
from .parameter import Buffer, Parameter


class Module:
    """Base of all layers and networks: write `__init__` and `forward`.

    >>> class Affine(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = Parameter(tensor([2.]))
    ...     def forward(self, x):
    ...         return self.w * x
    >>> Affine()(tensor([3.])).tolist()
    [6.0]
    """

    training = True
    dump_patches = False
    # What most modules leave as it is: hooks by kind, and the name in the parent.
    _hooks: dict | None = None
    _name = ""

    def __init__(self):
        """Nothing to do; kept so that subclasses may call it."""

    def forward(self, *args, **kwargs):
        """What calling the module computes; a subclass writes it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args, **kwargs):
        outer = scope.get()
        name = f"{outer.split(' (')[0]}.{self._name}" if outer else type(self).__name__
        token = scope.set(f"{name} ({type(self).__name__})" if outer else name)
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return _call_with_hooks(self, args, kwargs)
        finally:
            scope.reset(token)

    # ------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value):
        before = self.__dict__.get(name)
        if isinstance(before, Parameter) and not isinstance(
            value, (Parameter, type(None))
        ):
            raise ArgumentTypeError(
                f"cannot assign '{type(value).__name__}' as parameter '{name}' "
                "(Parameter or None expected)",
                hint="with no_grad(): parameter.copy_(...) changes its numbers",
            )
        if isinstance(before, Buffer) and type(value) is Tensor:
            value = Buffer(value, persistent=before.persistent)
        if isinstance(value, Module):
            value.__dict__["_name"] = name
        if value is not before:
            changed.value += 1
        object.__setattr__(self, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the place."""
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(Parameter or None required)"
            )
        setattr(self, _checked(self, name), param)

    def register_buffer(self, name: str, tensor, persistent: bool = True) -> None:
        """Add a tensor that is kept, and saved if `persistent`, but not trained."""
        if tensor is not None and not isinstance(tensor, Buffer):
            tensor = Buffer(tensor, persistent=persistent)
        setattr(self, _checked(self, name), tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(f"{type(module).__name__} is not a Module subclass")
        setattr(self, _checked(self, name), module)

    register_module = add_module

    _parameters = property(lambda self: _held(self, Parameter))
    _buffers = property(lambda self: _held(self, Buffer))
    _modules = property(lambda self: _held(self, Module))

    # ------------------------------------------------------------ the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the direct submodules, each once."""
        return _once(_held(self, Module).items())

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (m for _, m in self.named_children())

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below it, from the top."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in _held(self, Module).items():
            path = f"{prefix}.{name}" if prefix else name
            yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter), each once unless `remove_duplicate` is off."""
        found = _named(self, Parameter, prefix, recurse)
        return _once(found) if remove_duplicate else found

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """What an optimizer trains."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """(path, buffer), each once unless `remove_duplicate` is off."""
        found = _named(self, Buffer, prefix, recurse)
        return _once(found) if remove_duplicate else found

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """What is kept without being trained."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "encoder.0"."""
        module: Any = self
        for name in target.split(".") if target else []:
            if not isinstance(getattr(module, name, None), Module):
                raise AttributeError(
                    f"{type(module).__name__} has no submodule `{name}` (in {target!r})"
                )
            module = getattr(module, name)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "encoder.0.weight"."""
        return _at(self, target, Parameter, "parameter")

    def get_buffer(self, target: str) -> Buffer:
        """The buffer at a path."""
        return _at(self, target, Buffer, "buffer")

    def set_submodule(self, target: str, module: Module) -> None:
        """Put `module` at a path."""
        parent, _, name = target.rpartition(".")
        self.get_submodule(parent).add_module(name, module)

    def apply(self, fn: Callable[[Module], Any]):
        """fn(module) for all modules, the deepest first; returns this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------ modes, dtypes

    def train(self, mode: bool = True):
        """Training or evaluation behaviour of dropout, batch norm ..."""
        if not isinstance(mode, bool):
            raise ArgumentError(
                f"training mode is expected to be boolean, got {mode!r}"
            )
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation behaviour: train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Make all parameters trainable, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            forget_grad(p, set_to_none)

    def to(self, *args, **kwargs):
        """Floating parameters and buffers in another dtype; in place."""
        wanted = Tensor().to(*args, **kwargs).dtype
        given = [a for a in (*args, *kwargs.values()) if not isinstance(a, (str, bool))]
        return self._cast(wanted) if given else self

    def type(self, dst_type):
        """All parameters and buffers in this dtype."""
        return self._cast(dst_type, everything=True)

    def float(self):
        """Floating parameters and buffers as float32."""
        return self._cast("float32")

    def double(self):
        """Floating parameters and buffers as float64."""
        return self._cast("float64")

    def half(self):
        """Floating parameters and buffers as float16."""
        return self._cast("float16")

    def bfloat16(self):
        """Floating parameters and buffers as bfloat16."""
        return self._cast("bfloat16")

    def cpu(self):
        """This module: the CPU is where it is."""
        return self

    def share_memory(self):
        """This module: threads share its memory as it is."""
        return self

    def _cast(self, dtype, everything=False):
        d = np_dtype(dtype)
        held = [*_named(self, Parameter), *_named(self, Buffer)]
        for _, x in _once(held):
            if everything or x.is_floating_point():
                x.value = x.value.astype(d, copy=False)
                if x.grad is not None:
                    x.grad = x.grad.to(d)
        return self

    # ------------------------------------------------------------ hooks

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """hook(module, args) -> None or new args, before forward."""
        return _hook(self, "forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook, *, prepend=False, with_kwargs=False, always_call=False
    ):
        """hook(module, args, output) -> None or new output, after forward."""
        return _hook(self, "forward", (hook, with_kwargs, always_call), prepend)

    def register_state_dict_pre_hook(self, hook):
        """hook(module, prefix, keep_vars) before state_dict reads this module."""
        return _hook(self, "state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook):
        """hook(module, state_dict, prefix, local_metadata) after it was read."""
        return _hook(self, "state_dict", hook)

    def register_load_state_dict_pre_hook(self, hook):
        """hook(module, state_dict, prefix, ...) before this module is loaded."""
        return _hook(self, "load_state_dict_pre", hook)

    def register_load_state_dict_post_hook(self, hook):
        """hook(module, incompatible_keys) after all was loaded."""
        return _hook(self, "load_state_dict", hook)

    # ------------------------------------------------------------ state

    def state_dict(
        self, *, destination=None, prefix: str = "", keep_vars: bool = False
    ):
        """Paths and tensors of all parameters and persistent buffers, sharing memory."""
        out = OrderedDict() if destination is None else destination
        for hook in _hooks(self, "state_dict_pre"):
            hook(self, prefix, keep_vars)
        for name, x in vars(self).items():
            if isinstance(x, Parameter) or (isinstance(x, Buffer) and x.persistent):
                out[prefix + name] = x if keep_vars else x.detach()
        extra = self.get_extra_state()
        if extra is not None:
            out[f"{prefix}_extra_state"] = extra
        for name, module in _held(self, Module).items():
            module.state_dict(
                destination=out, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
        for hook in _hooks(self, "state_dict"):
            hook(self, out, prefix, {})
        return out

    def get_extra_state(self):
        """More state to save with this module; a subclass may write it."""

    def set_extra_state(self, state) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__} gives no extra state")

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Copy (or, with `assign`, take) the tensors of a state_dict; all of it or nothing."""
        state = OrderedDict(state_dict)
        plan, missing, wrong = [], [], []
        unexpected = dict.fromkeys(state)
        for prefix, module in self.named_modules(remove_duplicate=False):
            prefix = f"{prefix}." if prefix else ""
            for hook in _hooks(module, "load_state_dict_pre"):
                hook(module, state, prefix, {}, strict, missing, unexpected, wrong)
            _plan(module, state, prefix, plan, missing, unexpected, wrong)
        found = IncompatibleKeys(missing, list(unexpected))
        _complain(self, found if strict else IncompatibleKeys([], []), wrong)
        with no_grad():
            for step in plan:
                _load(*step, assign)
        for module in self.modules():
            for hook in _hooks(module, "load_state_dict"):
                hook(module, found)
        return found

    # ------------------------------------------------------------ display

    def extra_repr(self) -> str:
        """What the printed line says in its brackets."""
        return ""

    def __repr__(self):
        lines = [
            f"({name}): " + repr(m).replace("\n", "\n  ")
            for name, m in _held(self, Module).items()
        ]
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        if len(extra) == 1 and not lines:
            return f"{type(self).__name__}({extra[0]})"
        body = "".join(f"\n  {line}" for line in extra + lines)
        return (
            f"{type(self).__name__}({body}\n)" if body else f"{type(self).__name__}()"
        )


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


def forget_grad(p, set_to_none: bool = True) -> None:
    """p.grad becomes None, or zeros outside the graph."""
    if p.grad is None or set_to_none:
        p.grad = None
    else:
        p.grad = FUNCTIONS["zeros_like"](p.grad)


def _checked(module, name: str) -> str:
    """`name`, if it can be that of something new in `module`."""
    if not isinstance(name, str) or name == "" or "." in name:
        raise ArgumentError(f"a name must be a string without '.', not empty: {name!r}")
    held = (Parameter, Buffer, Module, type(None))
    if hasattr(module, name) and not isinstance(vars(module).get(name, 0), held):
        raise ArgumentError(f"attribute '{name}' already exists")
    return name


def _held(module, kind) -> dict:
    return {k: v for k, v in vars(module).items() if isinstance(v, kind)}


def _named(module, kind, prefix="", recurse=True):
    modules = module.named_modules(prefix=prefix) if recurse else [(prefix, module)]
    for path, m in modules:
        for name, x in _held(m, kind).items():
            yield (f"{path}.{name}" if path else name), x


def _once(pairs):
    seen = set()
    for name, x in pairs:
        if id(x) not in seen:
            seen.add(id(x))
            yield name, x


def _at(module, target, kind, what):
    path, _, name = target.rpartition(".")
    owner = module.get_submodule(path)
    x = vars(owner).get(name)
    if not isinstance(x, kind):
        raise AttributeError(f"{type(owner).__name__} has no {what} `{name}`")
    return x


# ---------------------------------------------------------------- hooks


def _hook(module, kind, entry, prepend=False):
    if module._hooks is None:
        module._hooks = {}
    hooks = module._hooks.setdefault(kind, OrderedDict())
    handle = Handle(hooks, entry)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _hooks(module, kind) -> tuple:
    return tuple((module._hooks or {}).get(kind, {}).values())


def _call_with_hooks(module, args, kwargs):
    for hook, with_kwargs in _hooks(module, "forward_pre"):
        got = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if got is not None and with_kwargs:
            args, kwargs = got
        elif got is not None:
            args = got if isinstance(got, tuple) else (got,)
    called = []
    try:
        y = module.forward(*args, **kwargs)
        for hook, with_kwargs, _ in _hooks(module, "forward"):
            called.append(hook)
            got = _after(hook, with_kwargs, module, args, kwargs, y)
            y = y if got is None else got
        return y
    except BaseException:
        for hook, with_kwargs, always in _hooks(module, "forward"):
            if always and hook not in called:
                _after(hook, with_kwargs, module, args, kwargs, None)
        raise


def _after(hook, with_kwargs, module, args, kwargs, y):
    if with_kwargs:
        return hook(module, args, kwargs, y)
    return hook(module, args, y)


# ---------------------------------------------------------------- loading


def _plan(module, state, prefix, plan, missing, unexpected, wrong):
    """What to load into `module`, and what is wrong with it; nothing is changed."""
    for name, x in vars(module).items():
        kept = isinstance(x, Parameter) or (isinstance(x, Buffer) and x.persistent)
        if not kept:
            continue
        key = prefix + name
        unexpected.pop(key, None)
        if key not in state:
            missing.append(key)
        elif not isinstance(state[key], Box):
            got = type(state[key]).__name__
            wrong.append(f"{key}: expected a Tensor, got {got}")
        elif tuple(state[key].shape) != tuple(x.shape):
            wrong.append(
                f"size mismatch for {key}: the state_dict has {list(state[key].shape)}, "
                f"the module {list(x.shape)}"
            )
        else:
            plan.append((module, name, state[key]))
    key = f"{prefix}_extra_state"
    if key in state and type(module).set_extra_state is not Module.set_extra_state:
        unexpected.pop(key, None)
        plan.append((module, None, state[key]))


def _complain(module, found, wrong):
    def listed(keys):
        return ", ".join(f'"{k}"' for k in keys)

    lines = list(wrong)
    if found.unexpected_keys:
        lines.insert(
            0, f"Unexpected key(s) in state_dict: {listed(found.unexpected_keys)}"
        )
    if found.missing_keys:
        lines.insert(0, f"Missing key(s) in state_dict: {listed(found.missing_keys)}")
    if lines:
        text = "".join(f"\n    {line}" for line in lines)
        raise ArgumentError(
            f"Error(s) in loading state_dict for {type(module).__name__}:{text}",
            hint="strict=False loads what fits by name" if not wrong else "",
        )


def _load(module, name, new, assign):
    if name is None:
        module.set_extra_state(new)
        return
    x = vars(module)[name]
    if not assign:
        x.copy_(new)
        return
    if isinstance(x, Parameter):
        x = new if isinstance(new, Parameter) else Parameter(new, x.requires_grad)
    else:
        x = Buffer(new, persistent=x.persistent)
    setattr(module, name, x)
