"""One step of a recurrent network: the cells of RNN, LSTM and GRU."""

from __future__ import annotations

import math

from ..errors import ArgumentError, ShapeError
from ..functional import creation, recurrent
from ..functional.face import need_tensor
from . import init
from .module import Module
from .parameter import Parameter


def draw(module) -> None:
    """All parameters uniformly from ±1/√hidden_size."""
    bound = 1 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0.0
    for p in module.parameters():
        init.uniform_(p, -bound, bound)


class RNNCellBase(Module):
    """The parameters of a cell: `num_chunks` gates of hidden_size rows.

    >>> nn.RNNCellBase(2, 3, True, 4).weight_ih.shape
    adjoint.Size([12, 2])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates, kind = num_chunks * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(creation.empty((gates, input_size), **kind))
        self.weight_hh = Parameter(creation.empty((gates, hidden_size), **kind))
        self.bias_ih = Parameter(creation.empty(gates, **kind)) if bias else None
        self.bias_hh = Parameter(creation.empty(gates, **kind)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from ±1/√hidden_size."""
        draw(self)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            parts.append(f"nonlinearity={self.nonlinearity}")
        return ", ".join(parts)

    def _started(self, input, states, count=1):
        """The states, zeros if not given, after a look at the ranks."""
        name = type(self).__name__
        if need_tensor(input, name).ndim not in (1, 2):
            raise ShapeError(
                f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead"
            )
        if states is None:
            zeros = creation.zeros(
                (*input.shape[:-1], self.hidden_size), dtype=input.dtype
            )
            return [zeros] * count
        for i, s in enumerate(states):
            if need_tensor(s, name, "hx").ndim not in (1, 2):
                what = "hidden" if count == 1 else f"hx[{i}]"
                raise ShapeError(
                    f"{name}: Expected {what} to be 1D or 2D, got {s.ndim}D instead"
                )
        return states

    def _weights(self):
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


class RNNCell(RNNCellBase):
    """One step h ← tanh(W x + b + U h + d), or relu.

    >>> nn.RNNCell(10, 20)(ones(3, 10), zeros(3, 20)).shape
    adjoint.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """The next state; zeros before it if not given."""
        cells = {"tanh": recurrent.rnn_tanh_cell, "relu": recurrent.rnn_relu_cell}
        if self.nonlinearity not in cells:
            raise ArgumentError(f"Unknown nonlinearity: {self.nonlinearity}")
        (h,) = self._started(input, None if hx is None else [hx])
        return cells[self.nonlinearity](input, h, *self._weights())


class _Gated(RNNCellBase):
    """A cell whose gates are its own: what users choose are the sizes."""

    _gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, bias, self._gates, device, dtype)


class LSTMCell(_Gated):
    """One step of long short-term memory: (h, c) from (h, c).

    >>> h, c = nn.LSTMCell(10, 20)(ones(3, 10))
    >>> h.shape, c.shape
    (adjoint.Size([3, 20]), adjoint.Size([3, 20]))
    """

    _gates = 4

    def forward(self, input, hx=None):
        """The next (h, c); zeros before them if not given."""
        states = self._started(input, hx, 2)
        return recurrent.lstm_cell(input, states, *self._weights())


class GRUCell(_Gated):
    """One step of a gated recurrent unit.

    >>> nn.GRUCell(10, 20)(ones(3, 10)).shape
    adjoint.Size([3, 20])
    """

    _gates = 3

    def forward(self, input, hx=None):
        """The next state; zeros before it if not given."""
        (h,) = self._started(input, None if hx is None else [hx])
        return recurrent.gru_cell(input, h, *self._weights())
