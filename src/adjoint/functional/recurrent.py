"""Recurrent networks: cells, and stacks of layers in one or both directions.

Inside, a batch of sequences is its rows in the order of time and the number of rows of each
step, so that padded and packed sequences are one case.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autodiff.casting import casting
from ..autodiff.tape import BASE
from ..core.bind import NUMPY, dtype_of, floor
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError
from .dropout import dropout as _dropout
from .face import cast, function, need_tensor
from .precision import lower
from .scan import scan


class Kind(NamedTuple):
    """A kind of cell: its record, its blocks of gates, and its states.

    Where `autocast` holds, layers of some kinds are `lowered` as a whole; of the others the
    product with the input alone, and states keep their precision from step to step.
    """

    record: str
    gates: int
    states: int = 1
    options: tuple = ()
    lowered: bool = True


KINDS = {
    "RNN_TANH": Kind("rnn", 1, options=(("act", "tanh"),)),
    "RNN_RELU": Kind("rnn", 1, options=(("act", "relu"),)),
    "LSTM": Kind("lstm", 4, 2),
    "GRU": Kind("gru", 3, lowered=False),
}


# ---------------------------------------------------------------- one direction of a layer


class Weights(NamedTuple):
    """What one direction of a layer is made of; biases and projection may be None."""

    ih: object
    hh: object
    bias_ih: object = None
    bias_hh: object = None
    hr: object = None


def unroll(kind, x, sizes, states, weights, reverse=False):
    """The states after each step, from the rows `x` of all steps and the first states."""
    d = dtype_of(states[0])
    gates = cast(_projected(x, weights.ih), d)
    if dtype_of(weights.hh) != d:  # in autocast alone
        weights = Weights(*(None if w is None else cast(w, d) for w in weights))
    record, extra = getattr(op, kind.record), []
    if kind.record == "gru":
        extra = [_or_zeros(weights.bias_hh, gates)]
        bias = weights.bias_ih
    else:
        bias = weights.bias_ih
        if bias is not None:
            bias = bias + weights.bias_hh
        if weights.hr is not None:
            extra = [weights.hr]
    gates = gates if bias is None else gates + bias

    def run(gates, states, sizes):
        given = {"sizes": tuple(sizes), "reverse": reverse, **dict(kind.options)}
        out = record(gates, *states, weights.hh, *extra, **given)
        return tuple(out[: kind.states]) if isinstance(out, tuple) else (out,)

    if floor.get() is NUMPY or len(sizes) == 1:
        return run(gates, states, sizes)
    return _looped(run, gates, states, sizes, reverse)


@lower
def _projected(x, weight):
    """All steps' part of the gates, in one product."""
    return op.contract(x, weight, spec="ij,kj->ik")


class Lot(NamedTuple):
    """Steps that one loop takes: their numbers of rows, and the first row of all of them."""

    sizes: tuple
    start: int

    @property
    def even(self) -> bool:
        """Whether all rows take part in all steps."""
        return self.sizes[0] == self.sizes[-1]

    def taking_part(self):
        """(step, row): whether it does."""
        return np.array(self.sizes)[:, None] > np.arange(self.sizes[0])

    def places(self):
        """(step, row): where the row lies, that of its last step if it has ended."""
        takes = self.taking_part()
        starts = self.start + np.cumsum([0, *self.sizes[:-1]])
        last = np.minimum(np.arange(len(self.sizes))[:, None], takes.sum(0) - 1)
        return starts[last] + np.arange(self.sizes[0])


def _lots(sizes) -> list[Lot]:
    """Each goes on for as long as half of its first rows take part."""
    lots, first, start = [], 0, 0
    for k in range(1, len(sizes) + 1):
        if k == len(sizes) or 2 * sizes[k] < sizes[first]:
            lots.append(Lot(tuple(sizes[first:k]), start))
            first, start = k, start + sum(sizes[first:k])
    return lots


def _looped(run, gates, states, sizes, reverse):
    """The same as loops of single steps, which a program that is written down keeps."""
    parts, lots = [], _lots(sizes)
    for lot in reversed(lots) if reverse else lots:
        n, count = lot.sizes[0], states[0].shape[0]
        here = tuple(_rows(s, 0, n) for s in states)
        new, ys = _steps_of(run, gates, here, lot, reverse)
        parts.append(ys)
        states = [
            y if n == count else op.cat(y, _rows(s, n, count), dim=0)
            for y, s in zip(new, states, strict=True)
        ]
    parts = zip(*(reversed(parts) if reverse else parts), strict=True)
    return tuple(p[0] if len(p) == 1 else op.cat(*p, dim=0) for p in parts)


def _steps_of(run, gates, states, lot, reverse):
    """A loop over a lot's steps: the last states, and the rows of all."""
    n, steps = lot.sizes[0], len(lot.sizes)
    if lot.even:
        x = _rows(gates, lot.start, lot.start + steps * n)
        x = op.reshape(x, shape=(steps, n, gates.shape[1]))
        takes = None
    else:
        x = op.index(gates, lot.places(), dim=0)
        takes = BASE.wrap(lot.taking_part()[:, :, None])

    def step(states, x):
        x, takes = x
        new = run(x, states, (n,))
        if takes is not None:
            pairs = zip(new, states, strict=True)
            new = tuple(op.where(takes, y, s) for y, s in pairs)
        return new, new

    new, ys = scan(step, states, (x, takes), reverse=reverse)
    ys = [op.reshape(y, shape=(steps * n, y.shape[2])) for y in ys]
    if not lot.even:
        rows = np.flatnonzero(lot.taking_part())
        ys = [op.index(y, rows, dim=0) for y in ys]
    return new, ys


def _rows(x, start, stop):
    if (start, stop) == (0, x.shape[0]):
        return x
    return op.slice(x, key=((start, stop, 1), *((0, m, 1) for m in x.shape[1:])))


def _or_zeros(bias, gates):
    return np.zeros(gates.shape[1], dtype_of(gates)) if bias is None else bias


def _final(y, sizes, reverse):
    """The state of each sequence after its own last step."""
    first = sizes[0]
    if reverse or first == sizes[-1]:
        start = 0 if reverse else sum(sizes) - first
        whole = (0, y.shape[1], 1)
        return op.slice(y, key=((start, start + first, 1), whole))
    lengths = (np.array(sizes)[:, None] > np.arange(first)).sum(0)
    starts = np.cumsum([0, *sizes])
    return op.index(y, starts[lengths - 1] + np.arange(first), dim=0)


# ---------------------------------------------------------------- stacks of layers


class Stack(NamedTuple):
    """The options of a stack of layers."""

    num_layers: int
    dropout: float = 0.0
    train: bool = False
    bidirectional: bool = False


def layers(kind, x, sizes, states, weights, stack):
    """Rows of the last layer, and final states, each stacked over layers and directions.

    `states` holds those of all layers and directions, `weights` a Weights for each.
    """
    run = _layers if kind.lowered else _layers.as_given
    return run(kind, x, sizes, states, weights, stack)


@lower
def _layers(kind, x, sizes, states, weights, stack):
    directions = 2 if stack.bidirectional else 1
    finals = []
    for layer in range(stack.num_layers):
        ys = []
        for k in range(layer * directions, (layer + 1) * directions):
            start = [op.select(s, dim=0, index=k) for s in states]
            reverse = k % directions == 1
            y = unroll(kind, x, sizes, start, weights[k], reverse)
            finals.append([_final(s, sizes, reverse) for s in y])
            ys.append(y[0])
        x = ys[0] if directions == 1 else op.cat(*ys, dim=1)
        if stack.train and stack.dropout and layer + 1 < stack.num_layers:
            x = _dropout(x, stack.dropout)
    return x, tuple(op.stack(*column, dim=0) for column in zip(*finals, strict=True))


def grouped(kind, params, has_biases):
    """A Weights for each direction of each layer, from the list of all parameters."""
    ih, hh = params[:2]
    projected = kind.record == "lstm" and 4 * hh.shape[1] != ih.shape[0]
    width = (4 if has_biases else 2) + projected
    if len(params) % width:
        raise ArgumentError(
            f"{kind.record}: {width} parameters a layer were expected, got {len(params)}"
        )
    groups = [params[i : i + width] for i in range(0, len(params), width)]
    return [_weights(g, has_biases, projected) for g in groups]


def _weights(group, has_biases, projected):
    biases = group[2:4] if has_biases else (None, None)
    return Weights(*group[:2], *biases, group[-1] if projected else None)


def padded(kind, input, states, weights, stack, batch_first):
    """`layers` of a batch (T, B, features), or (B, T, features) with `batch_first`."""
    x = op.permute(input, dims=(1, 0, 2)) if batch_first else input
    steps, n, features = x.shape
    if steps == 0:
        raise ShapeError(
            "a recurrent network expects sequences longer than 0, got input "
            f"{tuple(input.shape)}"
        )
    rows = op.reshape(x, shape=(steps * n, features))
    y, finals = layers(kind, rows, (n,) * steps, states, weights, stack)
    y = op.reshape(y, shape=(steps, n, y.shape[1]))
    return op.permute(y, dims=(1, 0, 2)) if batch_first else y, finals


def _call(name, input, states, params, has_biases, batch_first, *stack):
    """What `lstm`, `gru`, `rnn_tanh` and `rnn_relu` do."""
    for what, x in (("input", input), *(("hx", s) for s in states)):
        if need_tensor(x, name, what).ndim != 3:
            raise ShapeError(f"{name}: {what} must be 3-D, got {tuple(x.shape)}")
    kind, params = KINDS[name.upper()], list(params)
    check_dtypes(name, input, *states, *params)
    weights = grouped(kind, params, has_biases)
    y, finals = padded(kind, input, states, weights, Stack(*stack), batch_first)
    return (y, *finals)


def check_dtypes(name, *xs):
    """All must have one floating or complex dtype, unless they are cast to one."""
    if casting.get() is not None:
        return
    dtypes = {dtype_of(x) for x in xs}
    if len(dtypes) > 1 or dtype_of(xs[0]).kind not in "fVc":
        found = " and ".join(sorted(d.name for d in dtypes))
        raise DtypeError(f"{name}: all must have one floating dtype, got {found}")


@function
def lstm(
    input,
    hx,
    params,
    has_biases,
    num_layers,
    dropout,
    train,
    bidirectional,
    batch_first,
):
    """(output, h_n, c_n) of stacked long short-term memory layers; see nn.LSTM.

    >>> net = nn.LSTM(2, 3)
    >>> state = zeros(1, 1, 3), zeros(1, 1, 3)
    >>> y, h, c = lstm(ones(4, 1, 2), state, list(net.parameters()), True, 1, 0., False,
    ...                False, False)
    >>> y.shape, h.shape
    (adjoint.Size([4, 1, 3]), adjoint.Size([1, 1, 3]))
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ArgumentError("lstm: expects two hidden states, (h_0, c_0)")
    stack = num_layers, dropout, train, bidirectional
    return _call("lstm", input, tuple(hx), params, has_biases, batch_first, *stack)


def _of_one_state(name, words):
    def f(
        input,
        hx,
        params,
        has_biases,
        num_layers,
        dropout,
        train,
        bidirectional,
        batch_first,
    ):
        stack = num_layers, dropout, train, bidirectional
        return _call(name, input, (hx,), params, has_biases, batch_first, *stack)

    options = ', nonlinearity="relu"' if name == "rnn_relu" else ""
    module = "GRU" if name == "gru" else "RNN"
    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"""(output, h_n) of stacked {words}; see nn.{module}.

    >>> net = nn.{module}(2, 3{options})
    >>> params = list(net.parameters())
    >>> y, h = {name}(ones(4, 1, 2), zeros(1, 1, 3), params, True, 1, 0., False, False,
    ...               False)
    >>> y.shape, h.shape
    (adjoint.Size([4, 1, 3]), adjoint.Size([1, 1, 3]))
    """
    return function(f)


gru = _of_one_state("gru", "gated recurrent layers")
rnn_tanh = _of_one_state("rnn_tanh", "layers h ← tanh(W x + U h)")
rnn_relu = _of_one_state("rnn_relu", "layers h ← relu(W x + U h)")


# ---------------------------------------------------------------- cells


def _cell(name, input, states, w_ih, w_hh, b_ih, b_hh):
    """One step of a batch (B, features), or of a vector."""
    for what, x in (("input", input), *(("hx", s) for s in states)):
        need_tensor(x, name, what)
    vector = input.ndim == 1
    if vector:
        input, *states = (op.reshape(x, shape=(1, *x.shape)) for x in (input, *states))
    given = [w_ih, w_hh, *(b for b in (b_ih, b_hh) if b is not None)]
    check_dtypes(name, input, *states, *given)
    _check_cell(name, input, states, w_ih, w_hh)
    kind = KINDS[name.removesuffix("_cell").upper()]
    weights = Weights(w_ih, w_hh, b_ih, b_hh)
    ys = unroll(kind, input, (input.shape[0],), states, weights)
    return [op.reshape(y, shape=(y.shape[1],)) for y in ys] if vector else list(ys)


def _check_cell(name, x, states, w_ih, w_hh):
    if x.shape[-1] != w_ih.shape[1]:
        raise ShapeError(
            f"{name}: input has inconsistent input_size: got {x.shape[-1]}, expected "
            f"{w_ih.shape[1]}"
        )
    want = (x.shape[0], w_hh.shape[1])
    for s in states:
        if tuple(s.shape) != want:
            raise ShapeError(
                f"{name}: hidden has inconsistent hidden_size or batch size: got "
                f"{tuple(s.shape)}, expected {want}"
            )


@function
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """(h, c) after one step of a long short-term memory cell from hx = (h, c).

    >>> h, c = lstm_cell(zeros(2), (zeros(1), ones(1)), zeros(4, 2), zeros(4, 1))
    >>> h, c
    (tensor([0.2311]), tensor([0.5000]))
    """
    hx = list(hx)
    if len(hx) != 2:
        raise ArgumentError(
            f"lstm_cell expects two hidden states, (h, c), got {len(hx)}"
        )
    return tuple(_cell("lstm_cell", input, hx, w_ih, w_hh, b_ih, b_hh))


@function
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h after one step of a gated recurrent unit.

    >>> gru_cell(zeros(2), ones(1), zeros(3, 2), zeros(3, 1))
    tensor([0.5000])
    """
    return _cell("gru_cell", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@function
@lower
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """tanh(W x + U h + b), one step of the simplest network.

    >>> rnn_tanh_cell(ones(1), zeros(1), ones(1, 1), ones(1, 1))
    tensor([0.7616])
    """
    return _cell("rnn_tanh_cell", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@function
@lower
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """relu(W x + U h + b), one step.

    >>> rnn_relu_cell(ones(1), ones(1), ones(1, 1), ones(1, 1))
    tensor([2.])
    """
    return _cell("rnn_relu_cell", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]
