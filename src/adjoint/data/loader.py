"""DataLoader: batches of a dataset, in an order that can be repeated and taken up again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.generator import Generator
from ..errors import ArgumentError, ArgumentTypeError
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetch import Recipe
from .pool import Pool
from .sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    draw_seed,
    order_of,
    plan_of,
)
from .worker import Task, passed_on

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Batches of a dataset, with PyTorch's arguments.

    `num_workers` processes fetch ahead, `prefetch_factor` batches each; the order and the
    random numbers of every batch are the same for any number of them. `pin_memory` and
    `pin_memory_device` are accepted and change nothing (there is one memory), `in_order=False`
    too (batches come in order). `state_dict()` says where the loader is, in mid-epoch too.

    >>> from adjoint.data import DataLoader, TensorDataset
    >>> rows = TensorDataset(arange(5), arange(5) * 10)
    >>> for x, y in DataLoader(rows, batch_size=2):
    ...     print(x, y)
    tensor([0, 1]) tensor([ 0, 10])
    tensor([2, 3]) tensor([20, 30])
    tensor([4]) tensor([40])
    """

    def __init__(
        self,
        dataset,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable | None = None,
        multiprocessing_context=None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        _check_dataset(dataset)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.in_order = in_order
        self._stream = isinstance(dataset, IterableDataset)
        self._set_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.collate_fn = collate_fn or self._collate_default()
        self._pool: Pool | None = None
        self._epochs = 0
        self._progress: Progress | None = None
        self._resume: Progress | None = None

    def _set_order(self, batch_size, shuffle, sampler, batch_sampler, drop_last):
        """Which items come in which batch; a stream decides that itself."""
        if self._stream:
            _check_stream(shuffle, sampler, batch_sampler)
        _check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.sampler = self._sampler_for(sampler, shuffle)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.batch_sampler = batch_sampler
        if batch_sampler is not None:
            self.batch_size, self.drop_last = None, False
        elif batch_size is not None and not self._stream:
            self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)

    def _sampler_for(self, sampler, shuffle) -> Any:
        if sampler is not None or self._stream:
            return sampler
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    @property
    def _batched(self) -> bool:
        return self.batch_sampler is not None or self.batch_size is not None

    def _collate_default(self):
        return default_collate if self._batched else default_convert

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if not self._stream:
            return len(self.batch_sampler if self._batched else self.sampler)  # type: ignore[arg-type]
        n = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    # ------------------------------------------------------------ an epoch

    def __iter__(self) -> Any:  # an iterator of batches: what a collate_fn gives
        start = self._resume or Progress(self._plan(), 0)
        self._resume, self._progress = None, start
        self._epochs += 1
        return _Workers(self, start) if self.num_workers else _Serial(self, start)

    @property
    def _order(self) -> Any:
        """What the items of an epoch are taken from, in batches or one by one."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _plan(self) -> dict:
        return {"seed": draw_seed(self.generator), "order": plan_of(self._order)}

    def _jobs(self, plan: dict) -> Iterator:
        """What is to be fetched, batch by batch; a stream decides itself when it ends."""
        if self._stream:
            return iter(lambda: None, 0)
        indices = order_of(self._order, plan["order"])
        return iter(indices.tolist() if isinstance(indices, np.ndarray) else indices)

    def _recipe(self) -> Recipe:
        return Recipe(
            self.dataset,
            self.batch_size,
            self._batched,
            self.drop_last,
            self.collate_fn,
        )

    def _workers(self, seed: int) -> Pool:
        """The pool of a new epoch, or the one that persists."""
        if self._pool is not None:
            return self._pool
        pool = Pool(
            self._recipe(),
            self.num_workers,
            seed,
            self.worker_init_fn,
            self.multiprocessing_context,
        )
        self._pool = pool if self.persistent_workers else None
        return pool

    # ------------------------------------------------------------ where it is

    def state_dict(self) -> dict:
        """Where the loader is: numbers and strings only.

        The plan of the epoch under way (or left by `break`) and how many of its batches were
        given out; the positions of the generators that were passed to loader and sampler.

        >>> from adjoint.data import DataLoader
        >>> loader = DataLoader(range(6), 2, shuffle=True)
        >>> batches = iter(loader)
        >>> first = next(batches)
        >>> state, rest = loader.state_dict(), list(batches)
        >>> loader.load_state_dict(state)
        >>> [a.tolist() for a in loader] == [b.tolist() for b in rest]
        True
        """
        at = self._resume or self._progress
        epoch = None if at is None else {"plan": at.plan, "given": at.given}
        positions = [list(g.position()) for g in self._generators()]
        return {"of": self._identity(), "epoch": epoch, "generators": positions}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go to where `state_dict` was read: the next epoch gives the batches that were left."""
        if not isinstance(state_dict, dict) or {"of", "epoch", "generators"} - set(
            state_dict
        ):
            raise ArgumentTypeError(
                "DataLoader.load_state_dict: not a state of a DataLoader"
            )
        self._check_identity(state_dict["of"])
        for g, at in zip(self._generators(), state_dict["generators"], strict=True):
            g.go_to((at[0], at[1]))
        epoch = state_dict["epoch"]
        self._progress = None
        self._resume = epoch and Progress(epoch["plan"], epoch["given"])

    def _generators(self) -> list[Generator]:
        inner = getattr(self.batch_sampler, "sampler", None)
        holders = (self, self.sampler, self.batch_sampler, inner)
        found = [getattr(h, "generator", None) for h in holders]
        return list({id(g): g for g in found if isinstance(g, Generator)}.values())

    def _identity(self) -> dict:
        size = len(self.dataset) if hasattr(self.dataset, "__len__") else None
        out = {"items": size, "batch_size": self.batch_size}
        out["drop_last"] = self.drop_last
        out["sampler"] = type(self.sampler).__name__
        out["generators"] = len(self._generators())
        return out

    def _check_identity(self, other: dict) -> None:
        mine = self._identity()
        if other != mine:
            wrong = {k: (other.get(k), v) for k, v in mine.items() if other.get(k) != v}
            text = ", ".join(
                f"{k} {a!r} there and {b!r} here" for k, (a, b) in wrong.items()
            )
            raise ArgumentError(
                f"DataLoader.load_state_dict: the state is of another loader: {text}"
            )


class Progress:
    """The epoch under way: what decides its order, and how many batches were given out."""

    def __init__(self, plan: dict, given: int):
        self.plan, self.given = plan, given


class _Epoch:
    """Iterator over the batches that an epoch has left."""

    def __init__(self, loader: DataLoader, progress: Progress):
        self.loader, self.progress = loader, progress
        self.jobs = enumerate(loader._jobs(progress.plan))
        if not loader._stream:
            next(islice(self.jobs, progress.given, progress.given), None)

    def __iter__(self):
        return self

    def __len__(self):
        return len(self.loader)

    def _gave(self, number: int) -> None:
        stream = self.loader._stream
        self.progress.given = self.progress.given + 1 if stream else number + 1

    def _finished(self) -> None:
        if self.loader._progress is self.progress:
            self.loader._progress = None


class _Serial(_Epoch):
    """Batches fetched in this process when they are asked for."""

    def __init__(self, loader, progress):
        super().__init__(loader, progress)
        self.fetch = loader._recipe().start()
        if loader._stream:  # a stream can only be read and forgotten
            with suppress(StopIteration):
                for _ in range(progress.given):
                    self.fetch(None)

    def __next__(self):
        try:
            number, job = next(self.jobs)
            batch = self.fetch(job)
        except StopIteration:
            self._finished()
            raise
        self._gave(number)
        return batch


class _Workers(_Epoch):
    """Batches fetched ahead by workers, each taking its turn.

    Which worker has which batch is settled by the order of the batches alone. Of a stream, a
    worker whose copy has ended is left out from then on.
    """

    def __init__(self, loader, progress):
        super().__init__(loader, progress)
        self.pool = loader._workers(progress.plan["seed"])
        self.epoch, n = loader._epochs, loader.num_workers
        self.active = deque(range(n))
        self.turns = [0] * n  # how many batches each worker was asked for
        self.asked: deque = deque()  # (worker, number) of what is on its way
        with self._closing():
            for _ in range(n * loader.prefetch_factor):
                self._ask()
            for _ in range(progress.given if loader._stream else 0):
                self._next()

    def __next__(self):
        if self.epoch != self.loader._epochs and self.loader.persistent_workers:
            raise ArgumentError(
                "DataLoader: the epoch of this iterator was ended by a newer one",
                hint="persistent workers serve one iterator at a time",
            )
        with self._closing():
            worker, number, kind, result = self._next()
        if kind == "error":
            raise passed_on(worker, result)
        if kind == "end":
            self._end()
            raise StopIteration
        self._gave(number)
        return result

    def _next(self):
        """(worker, number, kind, result) of the oldest batch that was asked for."""
        while self.asked:
            worker, number = self.asked[0]
            kind, result = self._receive(worker)
            self.asked.popleft()
            if kind == "end" and worker in self.active:
                self.active.remove(worker)
            self._ask()
            if kind != "end":
                return worker, number, kind, result
        return None, 0, "end", None

    def _receive(self, worker: int):
        epoch = None
        while epoch != self.epoch:  # what is left of an abandoned epoch is dropped
            answer = self.pool.receive(worker, self.loader.timeout)
            epoch, _, kind, result = answer
        return kind, result

    def _ask(self) -> None:
        """Give the next batch to the worker whose turn it is, if there are both."""
        job = next(self.jobs, None) if self.active else None
        if job is None:
            return
        number, indices = job
        worker = self.active[0]
        self.active.rotate(-1)
        if self.loader._stream:  # numbered by its worker, however others fare
            number = self.turns[worker] * self.loader.num_workers + worker
        self.turns[worker] += 1
        seed = self.progress.plan["seed"]
        self.pool.send(worker, Task(self.epoch, seed, number, indices))
        self.asked.append((worker, number))

    @contextmanager
    def _closing(self):
        """What breaks off here (a death, Ctrl-C) leaves the pipes in mid-message."""
        try:
            yield
        except BaseException:
            self._close()
            raise

    def _end(self) -> None:
        self._finished()
        if not self.loader.persistent_workers:
            self.pool.stop()

    def _close(self) -> None:
        self.asked.clear()
        self.active.clear()
        self.pool.stop(grace=0.0)
        if self.loader._pool is self.pool:
            self.loader._pool = None


# ---------------------------------------------------------------- arguments


def _check_dataset(dataset) -> None:
    if not isinstance(dataset, IterableDataset) and not hasattr(dataset, "__getitem__"):
        raise ArgumentTypeError(
            "DataLoader: a dataset has __getitem__ and __len__, or is an "
            f"IterableDataset; got {type(dataset).__name__}",
            hint="class Stream(IterableDataset) with an __iter__ wraps what is iterated",
        )


def _check_workers(num_workers, timeout, prefetch_factor, persistent) -> None:
    if not isinstance(num_workers, int) or num_workers < 0:
        raise ArgumentError(
            "DataLoader: num_workers option should be a non-negative integer, "
            f"got {num_workers!r}",
            hint="num_workers=0 fetches in this process",
        )
    if timeout < 0:
        raise ArgumentError(
            f"DataLoader: timeout option should be non-negative, got {timeout}"
        )
    if num_workers == 0 and prefetch_factor is not None:
        raise ArgumentError(
            "DataLoader: prefetch_factor option could only be specified with workers, "
            f"got prefetch_factor={prefetch_factor} and num_workers=0"
        )
    if prefetch_factor is not None and prefetch_factor <= 0:
        raise ArgumentError(
            f"DataLoader: prefetch_factor option should be positive, got {prefetch_factor}"
        )
    if persistent and num_workers == 0:
        raise ArgumentError(
            "DataLoader: persistent_workers option needs num_workers > 0"
        )


def _check_stream(shuffle, sampler, batch_sampler) -> None:
    options = {"sampler": sampler, "batch_sampler": batch_sampler}
    given = {k: v for k, v in options.items() if v is not None}
    if shuffle not in (None, False):
        given = {"shuffle": shuffle}
    for name, value in given.items():
        raise ArgumentError(
            f"DataLoader with IterableDataset: expected unspecified {name} option, "
            f"but got {name}={value!r}",
            hint="a stream has an order of its own: shuffle inside its __iter__",
        )


def _check_order(batch_size, shuffle, sampler, batch_sampler, drop_last) -> None:
    if sampler is not None and shuffle:
        raise ArgumentError(
            "DataLoader: sampler option is mutually exclusive with shuffle"
        )
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ArgumentError(
                "DataLoader: batch_sampler option is mutually exclusive with "
                "batch_size, shuffle, sampler, and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ArgumentError(
            "DataLoader: batch_size=None option disables auto-batching and is "
            "mutually exclusive with drop_last"
        )
    elif batch_size is not None and (
        not hasattr(batch_size, "__index__") or batch_size <= 0
    ):
        raise ArgumentError(
            "DataLoader: batch_size should be a positive integer value, but got "
            f"batch_size={batch_size!r}"
        )
