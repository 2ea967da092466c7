"""Sequences of different lengths as one batch: padded, or packed without padding.

A packed batch lists the rows of all sequences in the order of time: step by step, of each
step the sequences that are that long, the longest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...core.bind import dtype_of
from ...core.primitive import op
from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...functional.creation import tensor
from ...functional.face import concrete, need_tensor
from ...functional.joining import cat


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """Rows of all sequences in the order of time, and how many there are at each step.

    `sorted_indices` is the order in which the sequences were taken, None if as they came;
    `unsorted_indices` undoes it. `pack_padded_sequence` and `pack_sequence` make it.

    >>> nn.utils.rnn.pack_sequence([tensor([1, 2]), tensor([3])]).batch_sizes
    tensor([2, 1])
    """

    def __new__(
        cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None
    ):
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The same sequences with their data in another dtype."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self.holding(data)

    def holding(self, data) -> PackedSequence:
        """Other data for the same sequences."""
        other = type(self)(data, *self[1:])
        other.__dict__.update(self.__dict__)
        return other

    # Sizes and order decide shapes, so they are also kept as numbers: a program that is
    # being written down can read these, not tensors.

    @property
    def sizes(self) -> tuple[int, ...]:
        """batch_sizes as numbers."""
        held = self.__dict__
        if "sizes" not in held:
            held["sizes"] = tuple(self.batch_sizes.tolist())
        return held["sizes"]

    @property
    def back(self):
        """unsorted_indices as an array, or None."""
        held = self.__dict__
        if "back" not in held:
            order = self.unsorted_indices
            held["back"] = None if order is None else order.numpy()
        return held["back"]

    def cpu(self):
        """This object: the CPU is where it is."""
        return self

    def pin_memory(self):
        """This object: there is no device to copy to."""
        return self

    is_cuda = False

    def is_pinned(self) -> bool:
        """False: memory is not pinned."""
        return False


def _named_dtype(name, dtype):
    def f(self):
        return self.to(dtype=dtype)

    f.__name__, f.__doc__ = name, f"The same sequences as {dtype}."
    setattr(PackedSequence, name, f)


for _names in (
    ("double", "float64"),
    ("float", "float32"),
    ("half", "float16"),
    ("long", "int64"),
    ("int", "int32"),
    ("short", "int16"),
    ("char", "int8"),
    ("byte", "uint8"),
):
    _named_dtype(*_names)


def invert_permutation(permutation):
    """The permutation that undoes this one; None for None.

    >>> nn.utils.rnn.invert_permutation(tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    return tensor(np.argsort(permutation.numpy()), dtype=permutation.dtype)


# ---------------------------------------------------------------- packing


def pack_padded_sequence(
    input, lengths, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The first `lengths` rows of each sequence of a padded batch (T, B, ...), packed.

    Lengths must decrease; `enforce_sorted=False` sorts them.

    >>> x = tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    >>> nn.utils.rnn.pack_padded_sequence(x, [2, 1, 3], True, enforce_sorted=False).data
    tensor([4, 1, 3, 5, 2, 6])
    """
    name, places = "pack_padded_sequence", None
    if need_tensor(input, name).ndim < 2:
        raise ShapeError(f"{name}: input must be at least 2-D, got {input.ndim}-D")
    lengths = _lengths(lengths)
    if not enforce_sorted:
        places = np.argsort(-lengths, kind="stable")
        lengths = lengths[places]
        input = op.index(input, places, dim=0 if batch_first else 1)
    steps, n = input.shape[:2][:: -1 if batch_first else 1]
    _check_lengths(name, lengths, steps, n, enforce_sorted)
    t, b = np.nonzero(np.arange(lengths[0])[:, None] < lengths)
    rows = b * steps + t if batch_first else t * n + b
    flat = op.reshape(input, shape=(steps * n, *input.shape[2:]))
    return _packed(op.index(flat, rows, dim=0), _sizes(lengths), places)


def _packed(data, sizes, places) -> PackedSequence:
    """A PackedSequence that knows its sizes and order, an array or None, as numbers."""
    back = None if places is None else np.argsort(places)
    orders = () if places is None else (tensor(places), tensor(back))
    packed = PackedSequence(data, tensor(sizes), *orders)
    packed.__dict__.update(sizes=tuple(sizes.tolist()), back=back)
    return packed


def _lengths(lengths) -> np.ndarray:
    """Their numbers, which decide the shape of what is packed."""
    hint = "give them as a list of ints; each list has a program of its own"
    return np.asarray(concrete(lengths, "lengths", hint), np.int64)


def _sizes(lengths):
    """How many sequences are longer than t, for each step t."""
    return (np.arange(lengths.max())[:, None] < lengths).sum(1)


def _check_lengths(name, lengths, steps, n, enforce_sorted) -> None:
    if lengths.shape != (n,):
        raise ShapeError(
            f"{name}: Expected `len(lengths)` to be equal to batch_size, but got "
            f"{len(lengths) if lengths.ndim else 'a number'} (batch_size={n})"
        )
    if n == 0:
        raise ArgumentError(f"{name}: Cannot pack empty tensors")
    if lengths.min() <= 0:
        raise ArgumentError(
            f"{name}: Length of all samples has to be greater than 0, but found "
            f"{lengths.tolist()}"
        )
    if enforce_sorted and (np.diff(lengths) > 0).any():
        raise ArgumentError(
            f"{name}: `lengths` array must be sorted in decreasing order when "
            f"`enforce_sorted` is True, got {lengths.tolist()}",
            hint="enforce_sorted=False sorts them",
        )
    if lengths[0] > steps:
        raise ShapeError(
            f"{name}: Expected no length above that of the padded sequences, {steps}, got "
            f"{lengths.tolist()}"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
):
    """(padded batch, lengths) of a packed one, in the order in which it was packed.

    >>> packed = nn.utils.rnn.pack_sequence([tensor([1, 2]), tensor([3])])
    >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise ArgumentTypeError(
            "pad_packed_sequence: expected a PackedSequence, got "
            f"{type(sequence).__name__}"
        )
    sizes, back = np.array(sequence.sizes), sequence.back
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ArgumentError(
            "pad_packed_sequence: Expected total_length to be at least the length of the "
            f"longest sequence in input, but got total_length={total_length} and max "
            f"sequence length being {len(sizes)}"
        )
    rows = _rows(sizes, steps)
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(0)
    if back is not None:
        rows, lengths = rows[:, back], lengths[back]
    padded = _with_fill(sequence.data, padding_value)
    y = op.index(padded, rows.T if batch_first else rows, dim=0)
    return y, tensor(lengths)


def _rows(sizes, steps):
    """(T, B): the row of the packed data at each place, the row after the last for none."""
    rows = np.full((steps, sizes[0]), sizes.sum())
    held = np.zeros(rows.shape, bool)
    held[: len(sizes)] = sizes[:, None] > np.arange(sizes[0])
    rows[held] = np.arange(sizes.sum())
    return rows


def _with_fill(x, value):
    """`x` with one row more, all `value`."""
    last = np.full((1, *x.shape[1:]), value).astype(dtype_of(x))
    return op.cat(x, last, dim=0)


def pack_sequence(sequences, enforce_sorted: bool = True) -> PackedSequence:
    """A list of sequences (L, ...) packed.

    >>> x = tensor([1, 2, 3]), tensor([4, 5]), tensor([6])
    >>> nn.utils.rnn.pack_sequence(x).data
    tensor([1, 4, 6, 2, 5, 3])
    """
    sequences = _listed("pack_sequence", sequences)
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(
        pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted
    )


def unpack_sequence(packed_sequences: PackedSequence) -> list:
    """The list of sequences that were packed.

    >>> packed = nn.utils.rnn.pack_sequence([tensor([1, 2]), tensor([3])])
    >>> nn.utils.rnn.unpack_sequence(packed)
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


# ---------------------------------------------------------------- padding


def _listed(name, sequences) -> list:
    if not isinstance(sequences, Iterable):
        raise ArgumentError(
            f"{name}: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = list(sequences)
    if not sequences:
        raise ArgumentError(f"{name}: received an empty list of sequences")
    for i, x in enumerate(sequences):
        if need_tensor(x, name, f"sequence {i}").ndim == 0:
            raise ShapeError(f"{name}: sequence {i} must have a dim, got a 0-d tensor")
        if x.shape[1:] != sequences[0].shape[1:]:
            raise ShapeError(
                f"{name}: sequences must agree in all dims but the first, got "
                f"{tuple(sequences[0].shape)} at 0 and {tuple(x.shape)} at {i}"
            )
    return sequences


def pad_sequence(
    sequences,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
):
    """Sequences (L, ...) as one batch (T, B, ...), the shorter ones filled up.

    >>> nn.utils.rnn.pad_sequence([tensor([1, 2, 3]), tensor([4])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    if padding_side not in ("left", "right"):
        raise ArgumentError(
            "pad_sequence: Expected padding_side to be one of left or right, but got "
            f"{padding_side!r}"
        )
    sequences = _listed("pad_sequence", sequences)
    lengths = np.array([x.shape[0] for x in sequences])
    steps, total = lengths.max(), lengths.sum()
    t = np.arange(steps)[:, None]
    if padding_side == "left":
        t = t - (steps - lengths)
    held = (t >= 0) & (t < lengths)
    rows = np.where(held, t + np.cumsum([0, *lengths[:-1]]), total)
    padded = _with_fill(cat(sequences), padding_value)
    return op.index(padded, rows.T if batch_first else rows, dim=0)


def unpad_sequence(padded_sequences, lengths, batch_first: bool = False) -> list:
    """The list of the first `lengths` rows of each sequence of a padded batch.

    >>> nn.utils.rnn.unpad_sequence(tensor([[1, 2], [3, 0]]), tensor([2, 1]), True)
    [tensor([1, 2]), tensor([3])]
    """
    dim = 0 if batch_first else 1
    lengths = _lengths(lengths)
    n = need_tensor(padded_sequences, "unpad_sequence").shape[dim]
    if lengths.shape != (n,):
        raise ShapeError(
            f"unpad_sequence: {n} lengths were expected, got {lengths.tolist()}"
        )
    return [
        op.select(padded_sequences, dim=dim, index=i)[:length]
        for i, length in enumerate(lengths.tolist())
    ]
