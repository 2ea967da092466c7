"""Recurrent networks over whole sequences: RNN, LSTM and GRU. One step is in cells.py."""

from __future__ import annotations

import numbers
import warnings

from ..autodiff.casting import is_autocast_enabled
from ..core.bind import dtype_of
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional import creation, recurrent
from ..functional.along import index_select
from ..functional.face import need_tensor
from ..functional.shapes import squeeze, unsqueeze
from .cells import GRUCell, LSTMCell, RNNCell, RNNCellBase, draw
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the parameters of all layers, and how input comes in.

    >>> nn.RNNBase("GRU", 2, 3).weight_ih_l0.shape
    adjoint.Size([9, 2])
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = dropout, bidirectional
        self.proj_size = proj_size
        _check_options(self)
        self.dropout = float(dropout)
        self._all_weights = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: self._directions]:
                shapes = _shapes(self, layer, suffix)
                self._all_weights.append(list(shapes))
                for name, shape in shapes.items():
                    empty = creation.empty(shape, device=device, dtype=dtype)
                    setattr(self, name, Parameter(empty))
        self.reset_parameters()

    _directions = property(lambda self: 2 if self.bidirectional else 1)
    _out_size = property(lambda self: self.proj_size or self.hidden_size)
    _flat_weights_names = property(
        lambda self: [name for names in self._all_weights for name in names]
    )
    _flat_weights = property(
        lambda self: [getattr(self, name) for name in self._flat_weights_names]
    )

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each direction of each layer."""
        return [[getattr(self, n) for n in names] for names in self._all_weights]

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from ±1/√hidden_size."""
        draw(self)

    def flatten_parameters(self) -> None:
        """Nothing to do: PyTorch moves weights together here for some GPUs."""

    def forward(self, input, hx=None):
        """(output, final state) of a batch, one sequence, or a PackedSequence."""
        if isinstance(input, PackedSequence):
            return self._of_packed(input, hx)
        if need_tensor(input, type(self).__name__).ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got "
                f"{input.ndim}D instead"
            )
        single, batch_dim = input.ndim == 2, 0 if self.batch_first else 1
        states = None if hx is None else self._ranked(hx, input.ndim)
        if single:
            input = unsqueeze(input, batch_dim)
            states = states and [unsqueeze(s, 1) for s in states]
        states = self._checked(input, states, input.shape[batch_dim])
        y, finals = recurrent.padded(*self._prepared(input, states), self.batch_first)
        if single:
            y, finals = squeeze(y, batch_dim), [squeeze(s, 1) for s in finals]
        return y, self._state(finals)

    def _of_packed(self, packed, hx):
        data, _, order, back = packed
        sizes = packed.sizes
        states = None if hx is None else self._parts(hx)
        states = self._checked(data, _reordered(states, order), sizes[0], packed=True)
        kind, x, *rest = self._prepared(data, states)
        y, finals = recurrent.layers(kind, x, sizes, *rest)
        return packed.holding(y), self._state(_reordered(finals, back))

    def _prepared(self, x, states):
        """The arguments of `recurrent.layers` but the sizes."""
        kind = recurrent.KINDS[self.mode]
        weights = [
            recurrent.Weights(
                **{_ROLES[n.rsplit("_l", 1)[0]]: getattr(self, n) for n in names}
            )
            for names in self._all_weights
        ]
        stack = recurrent.Stack(
            self.num_layers, self.dropout, self.training, self.bidirectional
        )
        return kind, x, states, weights, stack

    def _parts(self, hx):
        """The states as a list: of an LSTM h and c, else one."""
        if recurrent.KINDS[self.mode].states == 1:
            return [need_tensor(hx, type(self).__name__, "hx")]
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise ArgumentTypeError(
                f"{type(self).__name__}: hx must be a tuple (h_0, c_0), got "
                f"{type(hx).__name__}"
            )
        return [need_tensor(s, type(self).__name__, "hx") for s in hx]

    def _state(self, finals):
        return finals[0] if len(finals) == 1 else tuple(finals)

    def _ranked(self, hx, rank):
        states = self._parts(hx)
        if any(s.ndim != rank for s in states):
            kind = "batched" if rank == 3 else "unbatched"
            found = ", ".join(f"{s.ndim}-D" for s in states)
            names = "hx" if len(states) == 1 else "hx and cx"
            raise ShapeError(
                f"For {kind} {rank}-D input, {names} should also be {rank}-D but got "
                f"{found if len(states) == 1 else f'({found})'} tensors"
            )
        return states

    def _checked(self, x, states, n, packed=False):
        """The states, zeros if not given, after a look at all shapes and dtypes."""
        _check_input(self, x, 2 if packed else 3)
        count = self.num_layers * self._directions
        shapes = [(count, n, self._out_size), (count, n, self.hidden_size)]
        shapes = shapes[: recurrent.KINDS[self.mode].states]
        if states is None:
            return [creation.zeros(s, dtype=x.dtype) for s in shapes]
        for i, (s, shape) in enumerate(zip(states, shapes, strict=True)):
            if tuple(s.shape) != shape:
                which = f"hidden[{i}]" if len(shapes) > 1 else "hidden"
                raise ShapeError(f"Expected {which} size {shape}, got {list(s.shape)}")
            if dtype_of(s) != dtype_of(x) and not is_autocast_enabled():
                raise ArgumentError(
                    f"{type(self).__name__}: the input is {x.dtype}, the state {s.dtype}"
                )
        return states

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


_ROLES = {
    "weight_ih": "ih",
    "weight_hh": "hh",
    "bias_ih": "bias_ih",
    "bias_hh": "bias_hh",
    "weight_hr": "hr",
}
_DEFAULTS = {
    "proj_size": 0,
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0,
    "bidirectional": False,
}


def _shapes(net, layer, suffix):
    """name -> shape of the parameters of one direction of a layer."""
    gates = recurrent.KINDS[net.mode].gates * net.hidden_size
    out = net._out_size
    size = out * net._directions if layer else net.input_size
    shapes = {"weight_ih": (gates, size), "weight_hh": (gates, out)}
    if net.bias:
        shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
    if net.proj_size:
        shapes["weight_hr"] = (net.proj_size, net.hidden_size)
    return {f"{name}_l{layer}{suffix}": shape for name, shape in shapes.items()}


def _reordered(states, order):
    if states is None or order is None:
        return states
    return [index_select(s, 1, order) for s in states]


def _check_options(net) -> None:
    name = type(net).__name__
    if net.mode not in recurrent.KINDS:
        raise ArgumentError(
            f"Unrecognized RNN mode: {net.mode}", hint=f"one of {list(recurrent.KINDS)}"
        )
    _check_dropout(net.dropout, name)
    _check_kinds(net, name)
    for what in ("input_size", "hidden_size", "num_layers"):
        if getattr(net, what) <= 0:
            raise ArgumentError(
                f"{name}: {what} must be greater than zero, got {getattr(net, what)}"
            )
    if not 0 <= net.proj_size < net.hidden_size:
        raise ArgumentError(
            f"{name}: proj_size has to be smaller than hidden_size ({net.hidden_size}) "
            f"and not negative, got {net.proj_size}",
            hint="0 disables projections",
        )
    if net.dropout and net.num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero "
            "dropout expects num_layers greater than 1, but got "
            f"dropout={net.dropout} and num_layers=1",
            stacklevel=4,
        )


def _check_dropout(p, name) -> None:
    number = isinstance(p, numbers.Real) and not isinstance(p, bool)
    if not number or not 0 <= p <= 1:
        raise ArgumentError(
            f"{name}: dropout should be a number in range [0, 1] representing the "
            f"probability of an element being zeroed, got {p!r}"
        )


def _check_kinds(net, name) -> None:
    kinds = {"bias": bool, "batch_first": bool, "input_size": int, "hidden_size": int}
    for what, kind in kinds.items():
        value = getattr(net, what)
        if not isinstance(value, kind):
            raise ArgumentTypeError(
                f"{name}: {what} should be of type {kind.__name__}, got: "
                f"{type(value).__name__}"
            )


def _check_input(net, x, rank) -> None:
    weight = getattr(net, net._all_weights[0][0])
    if dtype_of(x) != dtype_of(weight) and not is_autocast_enabled():
        raise ArgumentError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype})",
            hint=f"input.to({weight.dtype}), or model.to({x.dtype})",
        )
    if x.ndim != rank:
        raise ShapeError(f"input must have {rank} dimensions, got {x.ndim}")
    if x.shape[-1] != net.input_size:
        raise ShapeError(
            "input.size(-1) must be equal to input_size. Expected "
            f"{net.input_size}, got {x.shape[-1]}"
        )


class RNN(RNNBase):
    """Layers of h ← tanh(W x + b + U h + d), or relu, over sequences (T, B, features).

    >>> net = nn.RNN(10, 20, num_layers=2)
    >>> y, h = net(ones(5, 3, 10))
    >>> y.shape, h.shape
    (adjoint.Size([5, 3, 20]), adjoint.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        **unknown,
    ):
        _refuse("RNN", unknown)
        self.nonlinearity = nonlinearity
        super().__init__(
            _mode(nonlinearity),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )


class GRU(RNNBase):
    """Layers of gated recurrent units over sequences (T, B, features).

    r and z = σ(W x + b + U h + d), n = tanh(W x + b + r (U h + d)), h ← (1 − z) n + z h.

    >>> net = nn.GRU(10, 20, bidirectional=True, batch_first=True)
    >>> y, h = net(ones(3, 5, 10))
    >>> y.shape, h.shape
    (adjoint.Size([3, 5, 40]), adjoint.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        **unknown,
    ):
        _refuse("GRU", unknown)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )


class LSTM(RNNBase):
    """Layers of long short-term memory over sequences (T, B, features).

    i, f, o = σ(W x + b + U h + d), g = tanh(...), c ← f c + i g, h ← o tanh c, which
    `proj_size` projects to fewer features.

    >>> net = nn.LSTM(10, 20)
    >>> y, (h, c) = net(ones(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    (adjoint.Size([5, 3, 20]), adjoint.Size([1, 3, 20]), adjoint.Size([1, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ):
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )


def _refuse(name, unknown) -> None:
    if "proj_size" in unknown:
        raise ArgumentError(
            "proj_size argument is only supported for LSTM, not RNN or GRU"
        )
    if unknown:
        raise ArgumentTypeError(
            f"{name}() got an unexpected keyword argument {next(iter(unknown))!r}"
        )


def _mode(nonlinearity) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
        )
    return f"RNN_{nonlinearity.upper()}"


__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
]
