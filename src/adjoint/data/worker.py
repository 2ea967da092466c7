"""What a worker process does: fetch the batches it is told to, and send them back in order.

One pipe a worker. A thread takes in tasks and a thread sends results, so that neither side
ever waits for the other to read. Arrays travel outside the pickle, as they lie. The parent's
side is in pool.py.
"""

from __future__ import annotations

import os
import pickle
import queue
import random
import signal
import threading
import traceback
import weakref
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from ..core import philox
from ..core.generator import default_generator
from ..errors import AdjointError


class WorkerError(AdjointError, RuntimeError):
    """A worker died, was too slow, or failed in a way that cannot be passed on whole."""


class WorkerInfo(NamedTuple):
    """Which worker this process is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker this process is; None in the main process.

    >>> get_worker_info() is None
    True
    """
    return _info


class Task(NamedTuple):
    """One batch to fetch; batches of an abandoned epoch are not fetched any more."""

    epoch: int
    seed: int
    number: int
    job: Any


# The parent's ends of all pipes. A forked worker closes its copies of them: a pipe ends
# only when no process holds it, and the end is how a worker learns that the parent is gone.
parents_ends: weakref.WeakSet = weakref.WeakSet()


def work(pipe: Connection, recipe, info: WorkerInfo, init) -> None:
    """All that a worker does."""
    global _info
    for end in list(parents_ends):
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    inbox, outbox = _Inbox(pipe), _Outbox(pipe)
    _info = info
    first = _attempt(lambda: _begin(info, init))
    failure = first if first[0] == "error" else None
    fetch: Any = None
    epoch = None
    while (task := inbox.next()) is not None:
        if task.epoch != epoch:
            fetch, epoch = _Fetch(recipe, failure, init is None), task.epoch
        outbox.put(task, fetch(task))
    outbox.close()


def _begin(info: WorkerInfo, init) -> None:
    seed_all(info.seed, 0)
    if init is not None:
        init(info.id)


def seed_all(seed: int, number: int) -> None:
    """Start the random numbers of adjoint, Python and NumPy at a place of a seed."""
    a, b, c, d = (int(w) for w in philox.words(seed, number, 4))
    default_generator.manual_seed(a | b << 32)
    random.seed(c)
    np.random.seed(d)


class _Fetch:
    """task -> (kind, payload, buffers) within one epoch."""

    def __init__(self, recipe, failure, seeded: bool):
        self.recipe, self.failure, self.seeded = recipe, failure, seeded
        self.fetch: Any = None

    def __call__(self, task: Task):
        return self.failure or _attempt(lambda: self._batch(task))

    def _batch(self, task: Task):
        if self.seeded:  # what a batch draws depends on its number, not on its worker
            seed_all(task.seed, task.number)
        if self.fetch is None:
            self.fetch = self.recipe.start()
        return self.fetch(task.job)


def _attempt(f):
    """(kind, payload, buffers) of what f gives or raises."""
    try:
        data = f()
        buffers: list = []
        payload = pickle.dumps(data, 5, buffer_callback=buffers.append)
        return "data", payload, buffers
    except StopIteration:
        return "end", pickle.dumps(None), []
    except Exception as error:
        return "error", pickle.dumps(_portable(error)), []


def _portable(error: BaseException):
    """(the error where it survives pickling, its one line, its traceback)."""
    text = "".join(traceback.format_exception(error))
    line = f"{type(error).__name__}: {error}"
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return pickle.dumps(error), line, text
    except Exception:
        pass
    return None, line, text


def passed_on(worker: int, result) -> BaseException:
    """The error that a worker met, with the worker's traceback as a note."""
    whole, line, text = result
    try:
        error = WorkerError(line) if whole is None else pickle.loads(whole)
    except Exception:
        error = WorkerError(line)
    error.add_note(f"raised in DataLoader worker {worker}:\n{text.rstrip()}")
    return error


class _Inbox:
    """Tasks as they arrive; the process ends with the parent."""

    def __init__(self, pipe: Connection):
        self.pipe, self.parent, self.latest = pipe, os.getppid(), -1
        self.tasks: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                while not self.pipe.poll(5.0):
                    if os.getppid() != self.parent:
                        os._exit(1)
                task = self.pipe.recv()
                self.latest = None if task is None else task.epoch
                self.tasks.put(task)
                if task is None:
                    return
        except (EOFError, OSError):
            os._exit(1)

    def next(self) -> Task | None:
        """The next task of the latest epoch; None: it is time to end."""
        while (task := self.tasks.get()) is not None and task.epoch != self.latest:
            pass
        return task


class _Outbox:
    """Results on their way, so that the worker fetches on while they are sent."""

    def __init__(self, pipe: Connection):
        self.pipe = pipe
        self.results: queue.SimpleQueue = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def put(self, task: Task, answer) -> None:
        """Send an answer when the pipe is free."""
        self.results.put((task.epoch, task.number, *answer))

    def close(self) -> None:
        """Wait until all is sent, or nobody reads."""
        self.results.put(None)
        self.thread.join()

    def _send(self) -> None:
        try:
            while (result := self.results.get()) is not None:
                *head, payload, buffers = result
                raw = [b.raw() for b in buffers]
                self.pipe.send((*head, [r.nbytes for r in raw], payload))
                for r in raw:
                    self.pipe.send_bytes(r)
        except OSError:
            pass  # the parent has closed its end
