"""Module: an object whose parameters, buffers and submodules are its attributes.

Nothing is registered elsewhere: what `parameters()` yields is what the object holds. Names,
order and messages are PyTorch's, so that a state_dict of one loads into the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from ..autodiff.modes import no_grad
from ..compiler import compile
from ..core.bind import (
    NUMPY,
    Box,
    floor,
    modes,
    note_birth,
    note_change,
    note_flag,
    young,
)
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, scope
from ..functional.face import FUNCTIONS
from ..tensor import Tensor
from . import loading
from .hooks import EVERYWHERE, call_with_hooks, hook_into, hooks_of, registered
from .parameter import Buffer, Parameter, as_buffer


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
    _version = 1  # of what the state_dict says, kept in its metadata
    # What most modules leave as it is: hooks by kind, the name in the parent, and the
    # kinds of the attributes that are None but have a place among parameters and so on.
    _hooks: dict | None = None
    _name = ""
    _places: dict | None = None

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        note_birth(self)
        if (level := floor.get()) is not NUMPY:
            level.makes(vars(self))
        return self

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
            if self._hooks is None and not EVERYWHERE:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, args, kwargs)
        finally:
            scope.reset(token)

    # ------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value):
        if EVERYWHERE:
            value = _announced(self, name, value)
        kind = _kind(vars(self).get(name)) or (self._places or {}).get(name)
        if kind is not None:
            value = _fitting(self, name, kind, value)
        if isinstance(value, Module):
            value.__dict__["_name"] = name
        if name == "training":
            _count_switch(self, value)
        elif value is not vars(self).get(name):
            _note_attribute(self, name, value)
            floor.get().replaces(vars(self), name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str):
        if self._places is not None:
            self._places.pop(name, None)
        _note_change(self)
        floor.get().replaces(vars(self), name)
        object.__delattr__(self, name)

    def __dir__(self):
        return [name for name in super().__dir__() if not name[:1].isdigit()]

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the place."""
        _check_name(self, name, Parameter)
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(Parameter or None required)"
            )
        _place(self, name, Parameter, param)

    def register_buffer(self, name: str, tensor, persistent: bool = True) -> None:
        """Add a tensor that is kept, and saved if `persistent`, but not trained."""
        _check_name(self, name, Buffer)
        if tensor is not None and not isinstance(tensor, Box):
            raise ArgumentTypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        if tensor is not None:
            tensor = as_buffer(tensor, persistent)
        _place(self, name, Buffer if persistent else Passing, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name; None keeps the place."""
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(
                f"{type(module).__name__} is not a Module subclass",
                hint=_advice(module),
            )
        _check_name(self, name, Module)
        _place(self, name, Module, module)

    register_module = add_module

    _parameters = property(lambda self: Held(self, Parameter))
    _buffers = property(lambda self: Held(self, Buffer))
    _modules = property(lambda self: Held(self, Module))

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
        return _named(self, Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """What an optimizer trains."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """(path, buffer), each once unless `remove_duplicate` is off."""
        return _named(self, Buffer, prefix, recurse, remove_duplicate)

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

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a path, where, if `strict`, there must be one already."""
        parent, _, name = target.rpartition(".")
        if not name or not isinstance(module, Module):
            raise ArgumentError(
                f"set_submodule: needs a path and a Module, got {target!r} and a "
                f"{type(module).__name__}"
            )
        owner = self.get_submodule(parent)
        there = getattr(owner, name, None if strict else module)
        if not isinstance(there, Module):
            raise AttributeError(f"{type(owner).__name__} has no submodule `{name}`")
        setattr(owner, name, module)

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
        self.training = mode
        for child in self.children():
            child.train(mode)
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
        """Floating and complex parameters and buffers in another dtype; in place."""
        wanted = Tensor().to(*args, **kwargs).dtype
        given = [a for a in (*args, *kwargs.values()) if not isinstance(a, (str, bool))]
        if not any(a is not None for a in given):
            return self
        if not (wanted.is_floating_point or wanted.is_complex):
            raise DtypeError(
                "Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={wanted}"
            )
        return self._apply(
            lambda x: x.to(wanted) if x.is_floating_point() or x.is_complex() else x
        )

    def type(self, dst_type):
        """All parameters and buffers in this dtype."""
        return self._apply(lambda x: x.to(dst_type))

    def float(self):
        """Floating parameters and buffers as float32."""
        return _floating(self, "float")

    def double(self):
        """Floating parameters and buffers as float64."""
        return _floating(self, "double")

    def half(self):
        """Floating parameters and buffers as float16."""
        return _floating(self, "half")

    def bfloat16(self):
        """Floating parameters and buffers as bfloat16."""
        return _floating(self, "bfloat16")

    def cpu(self):
        """This module: the CPU is where it is."""
        return self._apply(lambda x: x.cpu())

    def cuda(self, device=None):
        """This module on a GPU, which there is none of: the error says so."""
        return self.to("cuda" if device is None else device)

    def compile(self, **options) -> None:
        """Run `forward` as a native program from now on; options are those of `ad.compile`.

        >>> layer = nn.Linear(2, 2)
        >>> layer.compile()
        >>> layer(ones(1, 2)).shape, list(layer.state_dict())
        (adjoint.Size([1, 2]), ['weight', 'bias'])
        """
        object.__setattr__(self, "forward", compile(self.forward, **options))

    def share_memory(self):
        """This module: threads share its memory as it is."""
        return self

    def to_empty(self, *, device, recurse: bool = True):
        """This module on a device, its numbers not taken along."""
        return self._apply(lambda x: x.to(device), recurse)

    def _apply(self, fn, recurse: bool = True):
        """fn(tensor) in the place of the numbers of parameters, gradients and buffers."""
        for child in self.children() if recurse else ():
            child._apply(fn)
        with no_grad():
            for x in _tensors(self):
                x.data = fn(x.data)
                if x.grad is not None:
                    x._grad = fn(x.grad)
        return self

    # ------------------------------------------------------------ hooks

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """hook(module, args) -> None or new args, before forward."""
        return hook_into(self, "forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook, *, prepend=False, with_kwargs=False, always_call=False
    ):
        """hook(module, args, output) -> None or new output, after forward."""
        return hook_into(self, "forward", (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook, prepend: bool = False):
        """hook(module, grad_input, grad_output) -> None or new grad_input, backwards."""
        return hook_into(self, "backward", hook, prepend)

    def register_backward_hook(self, hook):
        """`register_full_backward_hook`, by its older name."""
        return self.register_full_backward_hook(hook)

    def register_full_backward_pre_hook(self, hook, prepend: bool = False):
        """hook(module, grad_output) -> None or new grad_output, before the module's own."""
        return hook_into(self, "backward_pre", hook, prepend)

    def register_state_dict_pre_hook(self, hook):
        """hook(module, prefix, keep_vars) before state_dict reads this module."""
        return hook_into(self, "state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook):
        """hook(module, state_dict, prefix, local_metadata) after it was read."""
        return hook_into(self, "state_dict", hook)

    def register_load_state_dict_pre_hook(self, hook):
        """hook(module, state_dict, prefix, ...) before this module is loaded."""
        return hook_into(self, "load_state_dict_pre", hook)

    def register_load_state_dict_post_hook(self, hook):
        """hook(module, incompatible_keys) after all below this module was loaded."""
        return hook_into(self, "load_state_dict", hook)

    # ------------------------------------------------------------ state

    def state_dict(
        self, *, destination=None, prefix: str = "", keep_vars: bool = False
    ):
        """Paths and tensors of all parameters and persistent buffers, sharing memory."""
        out: Any = destination
        if out is None:
            out = OrderedDict()
            out._metadata = OrderedDict()
        about = {"version": self._version}
        if hasattr(out, "_metadata"):
            out._metadata[prefix[:-1]] = about
        for hook in hooks_of(self, "state_dict_pre"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(out, prefix, keep_vars)
        for name, module in _held(self, Module).items():
            module.state_dict(
                destination=out, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
        for hook in hooks_of(self, "state_dict"):
            hook(self, out, prefix, about)
        return out

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        """What this module itself puts into a state_dict."""
        for name, x in loading.saved(self).items():
            destination[prefix + name] = x if keep_vars else x.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + loading.EXTRA] = self.get_extra_state()

    def get_extra_state(self):
        """More state to save with this module; a subclass may write it."""
        raise NotImplementedError(f"{type(self).__name__} gives no extra state")

    def set_extra_state(self, state) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__} gives no extra state")

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Copy (or, with `assign`, take) the tensors of a state_dict; all of it or nothing."""
        return loading.load(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict,
        prefix,
        local_metadata,
        strict,
        missing_keys,
        unexpected_keys,
        error_msgs,
    ) -> None:
        """Find what is for this module itself, and what is wrong with it."""
        for hook in hooks_of(self, "load_state_dict_pre"):
            hook(
                self,
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        extra = type(self).set_extra_state is not Module.set_extra_state
        found = loading.Found(state_dict, prefix, local_metadata, error_msgs)
        missing, unexpected = found.match(self, extra)
        if strict:
            missing_keys += missing
            unexpected_keys += unexpected

    # ------------------------------------------------------------ display

    def extra_repr(self) -> str:
        """What the printed line says in its brackets."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self):
        lines = [
            f"({name}): {m!r}".replace("\n", "\n  ")
            for name, m in self._modules.items()
        ]
        return bracketed(self, lines)


def _floating(module, name):
    """The module with all its floating numbers as the method of this name makes them."""
    return module._apply(lambda x: getattr(x, name)() if x.is_floating_point() else x)


def bracketed(module, lines) -> str:
    """The name of a module around what its `extra_repr` says and lines of its parts."""
    extra = module.extra_repr()
    parts = extra.split("\n") if extra else []
    if len(parts) == 1 and not lines:
        return f"{module._get_name()}({extra})"
    body = "".join(f"\n  {line}" for line in parts + lines)
    return f"{module._get_name()}({body}\n)" if body else f"{module._get_name()}()"


def forget_grad(p, set_to_none: bool = True) -> None:
    """p.grad becomes None, or zeros outside the graph."""
    if p.grad is None or set_to_none:
        p.grad = None
    else:
        p.grad = FUNCTIONS["zeros_like"](p.grad)


# ---------------------------------------------------------------- what a module holds


class KeyTakenError(ArgumentError, KeyError):
    """A name that nothing new in a module can have."""

    __str__ = Exception.__str__


class Passing(Buffer):
    """The kind of a place for a buffer that is not saved; no tensor is one."""


class Held(dict):
    """What a module holds of a kind, by name; what is put in, or taken out, is so there."""

    def __init__(self, module, kind):
        super().__init__(_places(module, kind))
        self.module, self.kind = module, kind

    def __setitem__(self, name, x):
        _place(self.module, name, self.kind, x)
        super().__setitem__(name, x)

    def __delitem__(self, name):
        super().__delitem__(name)
        delattr(self.module, name)

    def pop(self, name, *default):
        """Take one out."""
        if name in self:
            delattr(self.module, name)
        return super().pop(name, *default)

    def clear(self):
        """Take all out."""
        for name in list(self):
            del self[name]

    def update(self, *others, **more):
        """Put in several."""
        for name, x in dict(*others, **more).items():
            self[name] = x


def _note_change(module) -> None:
    """Have programs that may have seen the module be made anew."""
    if id(module) not in young:
        note_change(lasting=True)


def _note_attribute(module, name, value) -> None:
    """Have them be made anew; those for a simple value are found again when it is that again."""
    before = vars(module).get(name, module)
    if not {type(before), type(value)} <= _SIMPLE:
        _note_change(module)
    elif id(module) not in young:
        note_flag(module, name, before, value)


def _count_switch(module, training) -> None:
    """Have them find the program for these modes, which may have been made before."""
    if bool(training) != module.training and id(module) not in young:
        note_change()
        floor.get().switches(module)
        modes.value ^= hash((id(module), "training"))


def _kind(x):
    if x is None:
        return None
    if isinstance(x, Box):
        if isinstance(x, Parameter):
            return Parameter
        if isinstance(x, Buffer):
            return Buffer if x.persistent else Passing
        return None
    return Module if isinstance(x, Module) else None


# Of attributes that say all of themselves.
_SIMPLE = {bool, int, float, complex, str, type(None)}
_WANTED = {
    Parameter: ("parameter", "Parameter"),
    Module: ("child module", "Module"),
    Buffer: ("buffer", "Buffer, Tensor"),
    Passing: ("buffer", "Buffer, Tensor"),
}


def _fitting(module, name, kind, value):
    """`value` as it can be in a place of this kind; None keeps the place for later."""
    if value is None:
        _keep_place(module, name, kind)
        return None
    free = Parameter if kind is Parameter else (Parameter, Module, Buffer)
    if isinstance(value, free):
        if _kind(value) is not kind:  # it comes last among those of its kind
            floor.get().replaces(vars(module), name)
            vars(module).pop(name, None)
        return value
    if kind in (Buffer, Passing) and isinstance(value, Box):
        return as_buffer(value, kind is Buffer)
    what, wanted = _WANTED[kind]
    raise ArgumentTypeError(
        f"cannot assign '{type(value).__name__}' as {what} '{name}' "
        f"({wanted} or None expected)",
        hint="with no_grad(): parameter.copy_(...) changes its numbers"
        if kind is Parameter
        else "",
    )


def _keep_place(module, name, kind) -> None:
    module.__dict__["_places"] = {**(module._places or {}), name: kind}


def _advice(x) -> str:
    """What to write in the place of what is no module."""
    if isinstance(x, type) and issubclass(x, Module):
        return f"{x.__name__}(...)"
    if isinstance(x, (list, tuple)):
        return "Sequential(*layers)"
    return "a layer, such as nn.ReLU(), has a function" if callable(x) else ""


def _place(module, name, kind, value) -> None:
    if EVERYWHERE:
        value = _announced(module, name, value, kind)
    if value is None:
        _keep_place(module, name, kind)
    elif isinstance(value, Module):
        value.__dict__["_name"] = name
    elif kind is Buffer:
        value = as_buffer(value, getattr(value, "persistent", True))
    _note_change(module)
    object.__setattr__(module, name, value)


def _announced(module, name, value, kind=None):
    """What the hooks that see all that is put into modules leave of it."""
    kind = _kind(value) if kind is None or isinstance(value, Buffer) else kind
    if kind is None or value is None:
        return value
    kind = Buffer if kind is Passing else kind
    return registered(module, name, value, _REGISTRATIONS[kind])


_REGISTRATIONS = {
    Parameter: "register_parameter",
    Buffer: "register_buffer",
    Module: "register_module",
}


def _check_name(module, name, kind) -> None:
    """`name` must be one that something new of this kind can have in `module`."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"a name should be a string, got {type(name).__name__}")
    if name == "" or "." in name:
        raise KeyTakenError(f"a name cannot be empty or contain '.': {name!r}")
    if hasattr(module, name) and name not in _places(module, kind):
        raise KeyTakenError(f"attribute '{name}' already exists")


def _held(module, kind) -> dict:
    return {k: v for k, v in vars(module).items() if isinstance(v, kind)}


def _places(module, kind) -> dict:
    """What a module holds of a kind, and the places for it that are empty."""
    empty = module._places or {}
    return {
        k: v
        for k, v in vars(module).items()
        if isinstance(v, kind) or (v is None and issubclass(empty.get(k, int), kind))
    }


def _tensors(module):
    return [*_held(module, Parameter).values(), *_held(module, Buffer).values()]


def _named(module, kind, prefix, recurse, once):
    modules = (
        module.named_modules(prefix=prefix, remove_duplicate=once)
        if recurse
        else [(prefix, module)]
    )
    found = (
        ((f"{path}.{name}" if path else name), x)
        for path, m in modules
        for name, x in _held(m, kind).items()
    )
    return _once(found) if once else found


def _once(pairs):
    seen = set()
    for name, x in pairs:
        if id(x) not in seen:
            seen.add(id(x))
            yield name, x


def _at(module, target, kind, what) -> Any:
    path, _, name = target.rpartition(".")
    owner = module.get_submodule(path)
    x = getattr(owner, name, None)
    if not isinstance(x, kind):
        raise AttributeError(f"{type(owner).__name__} has no {what} `{name}`")
    return x
