"""Modules and parameters held in order or by name."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby

from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError, DimError
from .module import Module, bracketed
from .parameter import Parameter


class Identity(Module):
    """Its input, whatever arguments it was made with.

    >>> from adjoint import nn
    >>> nn.Identity(54, unused=True)(tensor([1.]))
    tensor([1.])
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        """The input."""
        return input


# ---------------------------------------------------------------- in order


class _Ordered(Module):
    """Modules named "0", "1" ...: what Sequential and ModuleList share."""

    def _name_at(self, i) -> str:
        return list(self._modules)[place(i, len(self))]

    def _refill(self, modules) -> None:
        for name in self._modules:
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __setitem__(self, idx, module):
        setattr(self, self._name_at(idx), module)

    def __delitem__(self, idx):
        modules = list(self)
        del modules[idx if isinstance(idx, slice) else place(idx, len(self))]
        self._refill(modules)

    def append(self, module):
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules):
        """Add several modules at the end."""
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(
                f"{type(self).__name__}.extend should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module):
        """Add a module before `index`."""
        n = len(self)
        if not isinstance(module, Module):
            raise ArgumentTypeError(f"{type(module).__name__} is not a Module subclass")
        if not -n <= index <= n:
            raise DimError(f"Index out of range: {index}, it must lie in [{-n}, {n}]")
        modules = list(self)
        modules.insert(index, module)
        self._refill(modules)
        return self

    def pop(self, key=-1):
        """Take a module out, or a slice of them."""
        found = self[key]
        del self[key]
        return found


class Sequential(_Ordered):
    """Modules called one after the other, each on the result of the one before.

    >>> from adjoint import nn
    >>> nn.Sequential(nn.Identity(), nn.Identity())(tensor([1.]))
    tensor([1.])
    """

    def __init__(self, *args):
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], dict)
        items = args[0].items() if named else enumerate(args)
        for name, module in items:
            self.add_module(str(name), module)

    def forward(self, input):
        """All modules in turn."""
        for module in list(vars(self).values()):
            if isinstance(module, Module):
                input = module(input)
        return input

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)(OrderedDict(list(self._modules.items())[idx]))
        return self._modules[self._name_at(idx)]

    def __add__(self, other):
        return Sequential(*self, *_need_sequential(other))

    def __iadd__(self, other):
        return self.extend(_need_sequential(other))

    def __mul__(self, other):
        return Sequential(*list(self) * _times(other))

    __rmul__ = __mul__

    def __imul__(self, other):
        return self.extend(list(self) * (_times(other) - 1))


def _need_sequential(other):
    if not isinstance(other, Sequential):
        raise ArgumentError(
            "add operator supports only objects of Sequential class, but "
            f"{type(other).__name__} is given"
        )
    return other


def _times(n) -> int:
    if not isinstance(n, int):
        raise ArgumentTypeError(
            f"unsupported operand type(s) for *: Sequential and {type(n).__name__}"
        )
    if n <= 0:
        raise ArgumentError(f"Non-positive multiplication factor {n} for Sequential")
    return n


class ModuleList(_Ordered):
    """A list of modules, whose parameters are those of the module that holds it.

    >>> from adjoint import nn
    >>> nn.ModuleList([nn.Identity(), nn.Identity()])
    ModuleList(
      (0-1): 2 x Identity()
    )
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return self._modules[self._name_at(idx)]

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return ModuleList([*self, *other])

    def __repr__(self):
        lines, at = [], 0
        for text, run in groupby(map(repr, self)):
            n = len(list(run))
            name = f"({at}-{at + n - 1}): {n} x " if n > 1 else f"({at}): "
            lines.append((name + text).replace("\n", "\n  "))
            at += n
        return bracketed(self, lines)


class ParameterList(Module):
    """A list of parameters; tensors that are put in become parameters.

    >>> from adjoint import nn
    >>> [p.shape.numel() for p in nn.ParameterList([zeros(2), zeros(3)])]
    [2, 3]
    """

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return getattr(self, str(place(idx, len(self))))

    def __setitem__(self, idx, param):
        setattr(self, str(place(idx, len(self))), _as_parameter(param))

    def __len__(self):
        return self._size

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __iadd__(self, parameters):
        return self.extend(parameters)

    def append(self, value):
        """Add a value at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values):
        """Add several values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, Box):
            raise ArgumentTypeError(
                "ParameterList.extend should be called with an iterable, but got "
                f"{type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """One line a value."""
        return _listed(enumerate(self))

    def __call__(self, *args, **kwargs):
        raise ArgumentError("ParameterList should not be called.")


def place(i, n) -> int:
    """The place of index i, which may count from the end, among n."""
    i = operator.index(i)
    if not -n <= i < n:
        raise DimError(f"index {i} is out of range for {n} items")
    return i % n


# ---------------------------------------------------------------- by name


class ModuleDict(Module):
    """Modules by name.

    >>> from adjoint import nn
    >>> list(nn.ModuleDict({"first": nn.Identity()}).keys())
    ['first']
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        if key not in self:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def keys(self):
        """The names."""
        return self._modules.keys()

    def values(self):
        """The modules."""
        return self._modules.values()

    def items(self):
        """(name, module) pairs."""
        return self._modules.items()

    def clear(self) -> None:
        """Take everything out."""
        for key in self._modules:
            delattr(self, key)

    def pop(self, key):
        """Take one module out."""
        found = self[key]
        del self[key]
        return found

    def update(self, modules) -> None:
        """Put in all modules of a mapping or of (name, module) pairs."""
        for key, module in _pairs(modules, "ModuleDict"):
            self[key] = module


class ParameterDict(Module):
    """Parameters by name; tensors that are put in become parameters.

    >>> from adjoint import nn
    >>> list(nn.ParameterDict({"w": zeros(2)}))
    ['w']
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key):
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"Index given to ParameterDict must be a string, got {key!r}"
            )
        return getattr(self, key)

    def __setitem__(self, key, value):
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"Index given to ParameterDict must be a string, got {key!r}"
            )
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key):
        del self._keys[key]
        delattr(self, key)

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(self._keys)

    def __contains__(self, key):
        return key in self._keys

    def __or__(self, other):
        out = self.copy()
        out.update(other)
        return out

    def __ror__(self, other):
        out = ParameterDict(other)
        out.update(self)
        return out

    def __ior__(self, other):
        self.update(other)
        return self

    def keys(self):
        """The names."""
        return self._keys.keys()

    def values(self):
        """What the names stand for."""
        return (self[k] for k in self._keys)

    def items(self):
        """(name, value) pairs."""
        return ((k, self[k]) for k in self._keys)

    def get(self, key, default=None):
        """The value of this name, or `default`."""
        return self[key] if key in self else default  # noqa: SIM401

    def setdefault(self, key, default=None):
        """The value of this name, which becomes `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self):
        """Another dict of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys, default=None):
        """A dict of one value under these names."""
        return ParameterDict((k, default) for k in keys)

    def clear(self) -> None:
        """Take everything out."""
        for key in list(self):
            del self[key]

    def pop(self, key):
        """Take one value out."""
        found = self[key]
        del self[key]
        return found

    def popitem(self):
        """Take out what came in last."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def update(self, parameters) -> None:
        """Put in all values of a mapping (sorted by name, if a plain one) or of pairs."""
        pairs = _pairs(parameters, "ParameterDict")
        ordered = isinstance(parameters, (OrderedDict, ParameterDict))
        if isinstance(parameters, Mapping) and not ordered:
            pairs = sorted(pairs)
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        """One line a value."""
        return _listed(self.items())

    def __call__(self, *args, **kwargs):
        raise ArgumentError("ParameterDict should not be called.")


def _pairs(items, name) -> list:
    if not isinstance(items, Iterable):
        raise ArgumentTypeError(
            f"{name}.update should be called with an iterable of key/value pairs, but got "
            f"{type(items).__name__}"
        )
    if isinstance(items, (Mapping, ModuleDict, ParameterDict)):
        return list(items.items())
    pairs = list(items)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Iterable):
            raise ArgumentTypeError(
                f"{name} update sequence element #{i} should be Iterable; is "
                f"{type(pair).__name__}"
            )
        if len(tuple(pair)) != 2:
            raise ArgumentError(
                f"{name} update sequence element #{i} has length {len(pair)}; 2 is required"
            )
    return pairs


def _as_parameter(x):
    if isinstance(x, Parameter) or not isinstance(x, Box):
        return x
    return Parameter(x)


def _listed(items) -> str:
    return "\n".join(f"  ({name}): {_described(x)}" for name, x in items)


def _described(x) -> str:
    if not isinstance(x, Box):
        return f"Object of type: {type(x).__name__}"
    kind = "Parameter" if isinstance(x, Parameter) else "Tensor"
    sizes = "x".join(map(str, x.shape))
    return f"{kind} containing: [{x.dtype} of size {sizes}]"
