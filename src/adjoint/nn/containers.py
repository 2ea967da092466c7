"""Modules and parameters held in order or by name."""

from __future__ import annotations

import operator
from collections import OrderedDict

from ..core.bind import Box
from ..errors import ArgumentTypeError, DimError
from .module import Module
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


class _Numbered(Module):
    """Items named "0", "1" ...: what Sequential, ModuleList and ParameterList share."""

    _kind: type = Module

    def _items(self) -> list:
        held = vars(self).items()
        return [v for k, v in held if isinstance(v, self._kind) and k.isdigit()]

    def _refill(self, items) -> None:
        for name in [k for k in vars(self) if k.isdigit()]:
            delattr(self, name)
        for i, item in enumerate(items):
            setattr(self, str(i), self._accept(item))

    def _accept(self, item):
        if not isinstance(item, Module):
            raise ArgumentTypeError(f"{type(item).__name__} is not a Module subclass")
        return item

    def _index(self, i) -> int:
        i, n = operator.index(i), len(self)
        if not -n <= i < n:
            raise DimError(f"index {i} is out of range for {n} items")
        return i % n

    def __len__(self):
        return len(self._items())

    def __iter__(self):
        return iter(self._items())

    def __setitem__(self, i, item):
        setattr(self, str(self._index(i)), self._accept(item))

    def __delitem__(self, i):
        items = self._items()
        del items[i if isinstance(i, slice) else self._index(i)]
        self._refill(items)

    def append(self, item):
        """Add an item at the end."""
        setattr(self, str(len(self)), self._accept(item))
        return self

    def extend(self, items):
        """Add several items at the end."""
        for item in list(items):
            self.append(item)
        return self

    def insert(self, index: int, item) -> None:
        """Add an item before `index`."""
        items = self._items()
        items.insert(index, self._accept(item))
        self._refill(items)

    def pop(self, key=-1):
        """Take an item out."""
        item = self._items()[self._index(key)]
        del self[key]
        return item


class Sequential(_Numbered):
    """Modules called one after the other, each on the result of the one before.

    >>> from adjoint import nn
    >>> nn.Sequential(nn.Identity(), nn.Identity())(tensor([1.]))
    tensor([1.])
    """

    def __init__(self, *args):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], dict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self._refill(args)

    def _items(self) -> list:
        return [v for v in vars(self).values() if isinstance(v, Module)]

    def forward(self, input):
        """All modules in turn."""
        for module in self._items():
            input = module(input)
        return input

    def __getitem__(self, i):
        if isinstance(i, slice):
            names = list(self._modules)[i]
            return type(self)(OrderedDict((n, getattr(self, n)) for n in names))
        return self._items()[self._index(i)]

    def __setitem__(self, i, item):
        setattr(self, list(self._modules)[self._index(i)], self._accept(item))

    def __delitem__(self, i):
        names = list(self._modules)
        for name in names[i] if isinstance(i, slice) else [names[self._index(i)]]:
            delattr(self, name)
        if all(n.isdigit() for n in names):
            self._refill(self._items())

    def __add__(self, other):
        return Sequential(*self, *other)


class ModuleList(_Numbered):
    """A list of modules, whose parameters are those of the module that holds it.

    >>> from adjoint import nn
    >>> len(nn.ModuleList([nn.Identity(), nn.Identity()]))
    2
    """

    def __init__(self, modules=None):
        super().__init__()
        self.extend(modules or [])

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)(self._items()[i])
        return self._items()[self._index(i)]

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return type(self)([*self, *other])


class ParameterList(_Numbered):
    """A list of parameters; tensors that are put in become parameters.

    >>> from adjoint import nn
    >>> [p.shape.numel() for p in nn.ParameterList([zeros(2), zeros(3)])]
    [2, 3]
    """

    _kind = Box

    def __init__(self, values=None):
        super().__init__()
        self.extend(values or [])

    def _accept(self, item):
        return _as_parameter(item)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)(self._items()[i])
        return self._items()[self._index(i)]

    def __iadd__(self, values):
        return self.extend(values)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return _listed(enumerate(self))


class _Named(Module):
    """Items by name: what ModuleDict and ParameterDict share."""

    _kind: type = Module

    def __init__(self, items=None):
        super().__init__()
        self.update(items or {})

    def _accept(self, item):
        if not isinstance(item, Module):
            raise ArgumentTypeError(f"{type(item).__name__} is not a Module subclass")
        return item

    def _held(self) -> dict:
        return {k: v for k, v in vars(self).items() if isinstance(v, self._kind)}

    def __getitem__(self, key):
        return self._held()[key]

    def __setitem__(self, key, item):
        self.__dict__.pop(key, None)
        item = self._accept(item)
        if isinstance(item, Module):
            self.add_module(key, item)
        else:
            setattr(self, key, item)

    def __delitem__(self, key):
        del self.__dict__[key]

    def __len__(self):
        return len(self._held())

    def __iter__(self):
        return iter(self._held())

    def __contains__(self, key):
        return key in self._held()

    def keys(self):
        """The names."""
        return self._held().keys()

    def values(self):
        """What the names stand for."""
        return self._held().values()

    def items(self):
        """(name, item) pairs."""
        return self._held().items()

    def clear(self) -> None:
        """Take everything out."""
        for key in list(self):
            del self[key]

    def pop(self, key):
        """Take one item out."""
        item = self[key]
        del self[key]
        return item

    def update(self, items) -> None:
        """Put in all items of a mapping or of (name, item) pairs."""
        for key, item in dict(items).items():
            self[key] = item


class ModuleDict(_Named):
    """Modules by name.

    >>> from adjoint import nn
    >>> list(nn.ModuleDict({"first": nn.Identity()}).keys())
    ['first']
    """


class ParameterDict(_Named):
    """Parameters by name; tensors that are put in become parameters.

    >>> from adjoint import nn
    >>> list(nn.ParameterDict({"w": zeros(2)}))
    ['w']
    """

    _kind = Box

    def _accept(self, item):
        return _as_parameter(item)

    def get(self, key, default=None):
        """The item of this name, or `default`."""
        return self._held().get(key, default)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return _listed(self.items())


def _as_parameter(x):
    if isinstance(x, Parameter) or not isinstance(x, Box):
        return x
    return Parameter(x)


def _listed(items) -> str:
    return "\n".join(
        f"({name}): {type(x).__name__} containing: [{x.dtype} of size "
        f"{'x'.join(map(str, x.shape))}]"
        for name, x in items
    )
