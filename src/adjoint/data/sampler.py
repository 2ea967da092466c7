"""Samplers: in which order, and in which batches, the items of a dataset come.

The order of our own samplers is a function of a small plan that is drawn when an epoch
begins (`plan`, `order`), so that a loader can save the plan and take up in mid-epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.bind import Box
from ..core.generator import Generator, default_generator
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.face import FUNCTIONS

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base of samplers: write `__iter__`, and `__len__` where it is known.

    One that also has `state_dict` and `load_state_dict` is resumed exactly: the state, read
    before an epoch, must bring back the epoch's order.

    >>> class Backwards(Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(Backwards())
    [2, 1, 0]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} needs __iter__()")


class PlannedSampler(Sampler[int]):
    """A sampler whose order follows from a plan of a few numbers."""

    generator: Generator | None = None

    def plan(self):
        """What is drawn when an epoch begins."""
        return draw_seed(self.generator)

    def order(self, plan) -> Any:
        """All indices of the epoch with this plan: a range, an array or a list."""
        raise NotImplementedError

    def __iter__(self):
        order = self.order(self.plan())
        return iter(order.tolist() if isinstance(order, np.ndarray) else order)


class SequentialSampler(PlannedSampler):
    """0, 1, 2 ...

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def plan(self):
        """Nothing is drawn."""

    def order(self, plan):
        """The numbers as they come."""
        return range(len(self.data_source))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(PlannedSampler):
    """All indices in random order, or `num_samples` drawn with replacement.

    >>> sorted(RandomSampler("abc", generator=Generator().manual_seed(0)))
    [0, 1, 2]
    >>> len(list(RandomSampler("abc", replacement=True, num_samples=5)))
    5
    """

    def __init__(
        self,
        data_source,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ):
        self.data_source, self.generator = data_source, generator
        self.replacement = _flag(replacement, "RandomSampler")
        self._count = num_samples
        _positive(self.num_samples, "RandomSampler: num_samples")

    @property
    def num_samples(self) -> int:
        """How many indices an epoch has."""
        return len(self.data_source) if self._count is None else self._count

    def order(self, plan):
        """As drawn; more samples than items are several permutations in turn."""
        g, n, count = Generator().manual_seed(plan), len(self.data_source), 0
        if self.replacement:
            return FUNCTIONS["randint"](n, (self.num_samples,), generator=g).numpy()
        parts = []
        while count < self.num_samples:
            parts.append(FUNCTIONS["randperm"](n, generator=g).numpy())
            count += n
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined[: self.num_samples]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(PlannedSampler):
    """The given indices in random order.

    >>> sorted(SubsetRandomSampler([3, 5, 7]))
    [3, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None):
        self.indices, self.generator = indices, generator

    def order(self, plan):
        """The indices as drawn."""
        g = Generator().manual_seed(plan)
        places = FUNCTIONS["randperm"](len(self.indices), generator=g).numpy()
        return [self.indices[i] for i in places.tolist()]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(PlannedSampler):
    """Indices drawn by weights, which need not sum to one.

    >>> set(WeightedRandomSampler([0., 1., 1.], 20)) <= {1, 2}
    True
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ):
        _positive(num_samples, "WeightedRandomSampler: num_samples")
        self.weights = FUNCTIONS["as_tensor"](weights, dtype="float64")
        if self.weights.ndim != 1:
            raise ShapeError(
                "WeightedRandomSampler: weights should be a 1d sequence, got shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples, self.generator = num_samples, generator
        self.replacement = _flag(replacement, "WeightedRandomSampler")

    def order(self, plan):
        """The indices as drawn."""
        g = Generator().manual_seed(plan)
        draw = FUNCTIONS["multinomial"]
        return draw(
            self.weights, self.num_samples, self.replacement, generator=g
        ).numpy()

    def __len__(self):
        return self.num_samples


class DistributedSampler(PlannedSampler):
    """The part of one of `num_replicas` processes: every so manieth index, all as many.

    The order follows from `seed` and the epoch, the same in all processes: call `set_epoch`
    before each. What is over is dropped with `drop_last`, else the first indices fill up.

    >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ):
        num_replicas, rank = num_replicas or 1, rank or 0
        if not 0 <= rank < num_replicas:
            raise ArgumentError(
                f"Invalid rank {rank}, rank should be in the interval "
                f"[0, {num_replicas - 1}]"
            )
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0

    @property
    def num_samples(self) -> int:
        """How many indices each process has."""
        n = len(self.dataset)
        return n // self.num_replicas if self.drop_last else -(-n // self.num_replicas)

    @property
    def total_size(self) -> int:
        """How many all have."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Another order for another epoch."""
        self.epoch = epoch

    def plan(self):
        """The seed of this epoch."""
        return self.seed + self.epoch

    def order(self, plan):
        """The indices of this process."""
        n = len(self.dataset)
        if self.shuffle:
            g = Generator().manual_seed(plan)
            order = FUNCTIONS["randperm"](n, generator=g).numpy()
        else:
            order = np.arange(n)
        return np.resize(order, self.total_size)[self.rank :: self.num_replicas]

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler[list]):
    """Lists of `batch_size` indices of another sampler; the last may be shorter.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable, batch_size: int, drop_last: bool):
        _positive(batch_size, "BatchSampler: batch_size")
        self.sampler, self.batch_size = sampler, batch_size
        self.drop_last = _flag(drop_last, "BatchSampler", "drop_last")

    def plan(self):
        """What is drawn when an epoch begins."""
        return plan_of(self.sampler)

    def batches(self, plan) -> Iterator:
        """The batches of the epoch with this plan: slices, arrays or lists of indices."""
        size = self.batch_size
        if not _planned(self.sampler):
            return self._gathered(order_of(self.sampler, plan))
        order = self.sampler.order(plan)
        last = len(order) - len(order) % size if self.drop_last else len(order)
        if isinstance(order, range):
            return (slice(i, min(i + size, last)) for i in range(0, last, size))
        return (order[i : i + size] for i in range(0, last, size))

    def _gathered(self, indices: Iterable) -> Iterator[list]:
        rest = iter(indices)
        while batch := list(islice(rest, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __iter__(self):
        return map(as_list, self.batches(self.plan()))

    def __len__(self):
        n, size = len(self.sampler), self.batch_size  # type: ignore[arg-type]
        return n // size if self.drop_last else -(-n // size)


# ---------------------------------------------------------------- plans


def draw_seed(generator: Generator | None) -> int:
    """A number below 2^63 from a generator, the default one if None."""
    g = default_generator if generator is None else generator
    if not isinstance(g, Generator):
        raise ArgumentTypeError(
            f"generator must be a Generator, got {type(g).__name__}",
            hint="Generator().manual_seed(0)",
        )
    x = FUNCTIONS["randint"](0, 2**63 - 1, (), generator=g)
    return int(x.item())


def plan_of(sampler):
    """What says the order of a sampler's next epoch; drawn now where it is ours."""
    if _planned(sampler) or _batches(sampler):
        return sampler.plan()
    state = getattr(sampler, "state_dict", None)
    return None if state is None else state()


def order_of(sampler, plan) -> Iterable:
    """What the sampler gives in the epoch with this plan."""
    if _batches(sampler):
        return sampler.batches(plan)
    if _planned(sampler):
        return sampler.order(plan)
    if plan is not None:
        sampler.load_state_dict(plan)
    return sampler


def _planned(sampler) -> bool:
    """Whether its order follows from its plan: a subclass may iterate as it likes."""
    return getattr(type(sampler), "__iter__", None) is PlannedSampler.__iter__


def _batches(sampler) -> bool:
    return getattr(type(sampler), "__iter__", None) is BatchSampler.__iter__


def as_list(indices) -> list:
    """Indices, however a batch holds them, as a list of ints.

    >>> as_list(slice(2, 4)), as_list(np.array([1, 0]))
    ([2, 3], [1, 0])
    """
    if isinstance(indices, slice):
        return list(range(indices.start, indices.stop))
    return indices.tolist() if isinstance(indices, np.ndarray) else list(indices)


def as_index(indices):
    """Indices as what arrays are indexed by: a slice or an array; None if they are not ints.

    >>> as_index([2, tensor(1)]), as_index(["key"])
    (array([2, 1]), None)
    """
    if isinstance(indices, slice):
        return indices
    if isinstance(indices, (list, tuple)):
        indices = [i.item() if isinstance(i, Box) else i for i in indices]
    try:
        array = np.asarray(indices)
    except ValueError:  # lists of unequal lengths
        return None
    return array if array.dtype.kind in "iu" and array.ndim == 1 else None


def _positive(n, what: str) -> None:
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n <= 0:
        raise ArgumentError(f"{what} should be a positive integer value, but got {n!r}")


def _flag(value, name: str, what: str = "replacement") -> bool:
    if not isinstance(value, bool):
        raise ArgumentTypeError(
            f"{name}: {what} should be a boolean value, but got {value!r}"
        )
    return value
