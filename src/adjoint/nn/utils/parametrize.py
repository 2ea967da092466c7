"""Parametrizations: a tensor of a module computed from others, which are what is trained.

The module takes a class of its own in which the tensor is a property; the originals and the
functions are in `module.parametrizations`, under PyTorch's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ...autodiff.modes import no_grad
from ...core.bind import Box
from ...errors import ArgumentError
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Buffer, Parameter

# What parametrized tensors were computed to be, by (module, name); None: nothing is kept.
_kept: ContextVar[dict | None] = ContextVar("kept", default=None)


@contextmanager
def cached():
    """Parametrized tensors are computed once until the outermost of these ends.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> with nn.utils.parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


class ParametrizationList(ModuleList):
    """The functions that make one tensor, and the originals that they make it from.

    >>> class Double(nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> layer = nn.utils.parametrize.ParametrizationList([Double()], nn.Parameter(ones(1)))
    >>> layer().tolist()
    [2.0]
    """

    def __init__(self, modules, original, unsafe: bool = False):
        modules = list(modules)
        if not modules:
            raise ArgumentError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = tuple(original.shape), original.dtype
        start = self._inverse(original, lenient=True)
        self.is_tensor = isinstance(start, Box)
        self.ntensors = 1 if self.is_tensor else len(start)
        self._keep(original, start)
        if not unsafe:
            _check(self(), shape, dtype, "Registering a parametrization")

    def _keep(self, original, start) -> None:
        if self.is_tensor:
            if start.dtype != original.dtype:
                raise ArgumentError(
                    "When `right_inverse` outputs one tensor, it must have the dtype of "
                    f"the original, got {start.dtype} and {original.dtype}"
                )
            _write(original, start)
            hold(self, "original", original)
            return
        trained = isinstance(original, Parameter)
        for i, x in enumerate(start):
            if not isinstance(x, Box):
                raise ArgumentError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors, got "
                    f"element {i} with type {type(x).__name__}"
                )
            x = Parameter(x.detach(), original.requires_grad) if trained else x
            hold(self, f"original{i}", x)

    def _originals(self) -> list:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def _inverse(self, value, lenient=False):
        """`value` sent backwards through all functions."""
        with no_grad():
            for module in reversed(list(self)):
                value = _undone(module, value, lenient)
        if not isinstance(value, (Box, Sequence)):
            raise ArgumentError(
                "'right_inverse' must return a Tensor or a Sequence of tensors, got "
                f"{type(value).__name__}"
            )
        return value

    def right_inverse(self, value) -> None:
        """Make the originals such that the tensor becomes `value`."""
        start = self._inverse(value)
        start = [start] if isinstance(start, Box) else list(start)
        if len(start) != self.ntensors:
            raise ArgumentError(
                f"'right_inverse' must return {self.ntensors} tensors, got {len(start)}"
            )
        for original, x in zip(self._originals(), start, strict=True):
            if original.dtype != x.dtype:
                raise ArgumentError(
                    f"a tensor of dtype {original.dtype} cannot become one of {x.dtype}"
                )
            _write(original, x)

    def forward(self):
        """The tensor."""
        first, *rest = list(self)
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _undone(module, value, lenient):
    """`value` sent backwards through one function; as it is where it cannot, if `lenient`."""
    if hasattr(module, "right_inverse"):
        try:
            return module.right_inverse(value)
        except NotImplementedError:
            if not lenient:
                raise
    elif not lenient:
        raise ArgumentError(
            f"parametrization {type(module).__name__} does not implement right_inverse"
        )
    return value


def register_parametrization(
    module, tensor_name: str, parametrization, *, unsafe: bool = False
):
    """Compute a parameter or buffer of a module by `parametrization`, from now on.

    A method `right_inverse` of it says which original a given value has. `unsafe` leaves
    out the check that shape and dtype stay.

    >>> class Positive(nn.Module):
    ...     def forward(self, x):
    ...         return x.exp()
    ...     def right_inverse(self, x):
    ...         return x.log()
    >>> layer = nn.Linear(1, 1)
    >>> _ = nn.utils.parametrize.register_parametrization(layer, "bias", Positive())
    >>> layer.bias = tensor([3.])
    >>> layer.bias.item(), list(layer.state_dict())
    (3.0, ['weight', 'parametrizations.bias.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_next(module, tensor_name, parametrization)
        several = module.parametrizations[tensor_name]
        several.append(parametrization)
        several.unsafe |= unsafe
    elif tensor_name in {**module._parameters, **module._buffers}:
        original = getattr(module, tensor_name)
        several = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
        module.parametrizations[tensor_name] = several
        _take_class(module)
    else:
        raise ArgumentError(
            f"Module {module!r} does not have a parameter, a buffer, or a parametrized "
            f"element with name '{tensor_name}'"
        )
    return module


def is_parametrized(module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module (or, without a name, any) is computed.

    >>> nn.utils.parametrize.is_parametrized(nn.Linear(2, 2))
    False
    """
    several = vars(module).get("parametrizations")
    if not isinstance(several, ModuleDict):
        return False
    return len(several) > 0 if tensor_name is None else tensor_name in several


def remove_parametrizations(module, tensor_name: str, leave_parametrized: bool = True):
    """The tensor as an ordinary one again: its present value, or the original.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> nn.utils.parametrize.remove_parametrizations(layer, "weight")
    Linear(in_features=2, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"Module {type(module).__name__} does not have a parametrization on "
            f"{tensor_name}"
        )
    several = module.parametrizations[tensor_name]
    original = _left(module, tensor_name, several, leave_parametrized)
    del module.parametrizations[tensor_name]
    _take_class(module)
    hold(module, tensor_name, original)
    return module


def _left(module, name, several, leave_parametrized):
    """What remains in the place of a tensor that is computed no longer."""
    if several.is_tensor:
        if leave_parametrized:
            _write(several.original, getattr(module, name).detach())
        return several.original
    if not leave_parametrized:
        raise ArgumentError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    x = getattr(module, name)
    return Parameter(x.detach()) if x.requires_grad else x


def type_before_parametrizations(module) -> type:
    """The class of a module without its parametrizations.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> nn.utils.parametrize.type_before_parametrizations(layer).__name__
    'Linear'
    """
    return getattr(type(module), "_plain", type(module))


def transfer_parametrizations_and_params(
    from_module, to_module, tensor_name: str | None = None
):
    """Move the parametrizations of a module, and what they compute from, to another.

    >>> a, b = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), nn.Linear(2, 2)
    >>> _ = nn.utils.parametrize.transfer_parametrizations_and_params(a, b)
    >>> (a.weight == b.weight).all().item()
    True
    """
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        several = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            hold(to_module, name, from_module.parametrizations[name]._originals()[0])
        for module in several:
            register_parametrization(to_module, name, module, unsafe=several.unsafe)
        new = to_module.parametrizations[name]
        for target, source in zip(new._originals(), several._originals(), strict=True):
            _write(target, source)
    return to_module


def hold(module, name, x) -> None:
    """A tensor as parameter or buffer of the module, as it is one of them."""
    if isinstance(x, Parameter):
        module.register_parameter(name, x)
    else:
        persistent = x.persistent if isinstance(x, Buffer) else True
        module.register_buffer(name, x, persistent)


@no_grad()
def _write(x, new) -> None:
    """The numbers of `new` in x, in its memory if they fit."""
    if tuple(x.shape) == tuple(new.shape):
        if x is not new:
            x.copy_(new)
    else:
        x.data = new.detach()


def _check(x, shape, dtype, what) -> None:
    if not isinstance(x, Box):
        raise ArgumentError(
            f"{what}: a parametrization must return a tensor, got {type(x).__name__}"
        )
    if x.dtype != dtype or tuple(x.shape) != shape:
        raise ArgumentError(
            f"{what} may not change shape or dtype of the tensor, unless the `unsafe` "
            f"flag is enabled: it was {dtype} {shape} and is {x.dtype} {tuple(x.shape)}"
        )


def _check_next(module, name, parametrization) -> None:
    before = getattr(module, name)
    shape, dtype = tuple(before.shape), before.dtype
    with no_grad():
        x = parametrization(before)
        _check(x, shape, dtype, "Registering a parametrization")
        if hasattr(parametrization, "right_inverse"):
            start = parametrization.right_inverse(x)
            _check(start, shape, dtype, "The right_inverse of a parametrization")


def _take_class(module) -> None:
    """A class with a property for each computed tensor; the plain one if there is none."""
    plain = type_before_parametrizations(module)
    names = list(module.parametrizations)
    if not names:
        del module.parametrizations
        module.__class__ = plain
        return
    body = {name: _computed(name) for name in names}
    body |= {"_plain": plain, "__reduce_ex__": _reduced, "__doc__": plain.__doc__}
    module.__class__ = type(f"Parametrized{plain.__name__}", (plain,), body)


def _computed(name) -> property:
    def get(self):
        kept = _kept.get()
        if kept is None:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in kept:
            kept[key] = self.parametrizations[name]()
        return kept[key]

    def put(self, value):
        self.parametrizations[name].right_inverse(value)

    return property(get, put, doc="Computed by `parametrizations`.")


def _reduced(self, protocol):
    """Copies share the class; a file could not name it."""
    return _rebuilt, (type(self),), dict(vars(self))


def _rebuilt(kind) -> Module:
    return kind.__new__(kind)
