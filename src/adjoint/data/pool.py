"""Worker processes as their parent sees them: started, given tasks, listened to, ended.

The parent watches pipes and processes at once, so that a death is seen when it happens. What
a worker does is in worker.py.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
import weakref
from multiprocessing.connection import Connection, wait

import numpy as np

from ..errors import ArgumentTypeError
from .worker import Task, WorkerError, WorkerInfo, parents_ends, work

GRACE = 2.0  # seconds that a worker has to finish its batch before it is terminated


class Pool:
    """Workers and the pipes to them."""

    def __init__(self, recipe, count: int, seed: int, init, context):
        context = _context(context)
        self.workers: list = []
        self._stop = weakref.finalize(self, _shut_down, self.workers, os.getpid())
        for i in range(count):
            info = WorkerInfo(i, count, seed + i, recipe.dataset)
            self.workers.append(_start(context, recipe, info, init))

    def send(self, worker: int, task: Task) -> None:
        """Give a worker something to do."""
        try:
            self.workers[worker][1].send(task)
        except (BrokenPipeError, ConnectionResetError):
            raise self._death(worker) from None

    def receive(self, worker: int, timeout: float):
        """(epoch, number, kind, result) that the worker sends next."""
        self._await(worker, timeout)
        try:
            return _receive(self.workers[worker][1])
        except (EOFError, ConnectionResetError, BrokenPipeError):
            raise self._death(worker) from None

    def _await(self, worker: int, timeout: float) -> None:
        pipe = self.workers[worker][1]
        doors = {p.sentinel: i for i, (p, _) in enumerate(self.workers)}
        ready = wait([pipe, *doors], timeout or None)
        if pipe in ready:
            return
        if not ready:
            raise WorkerError(
                f"DataLoader timed out after {timeout:g} seconds waiting for worker "
                f"{worker} (pid {self.workers[worker][0].pid})"
            )
        raise self._death(doors[ready[0]])

    def _death(self, worker: int) -> WorkerError:
        process = self.workers[worker][0]
        process.join(GRACE)
        return WorkerError(
            f"DataLoader worker {worker} (pid {process.pid}) exited unexpectedly with "
            f"{_exit_text(process.exitcode)}",
            hint=_exit_hint(process.exitcode),
        )

    def stop(self, grace: float = GRACE) -> None:
        """End all workers; those still busy after `grace` seconds are terminated."""
        if self._stop.detach():
            _shut_down(self.workers, os.getpid(), grace)


def _context(given):
    if given is None or isinstance(given, str):
        return multiprocessing.get_context(given)
    if not hasattr(given, "Process"):
        raise ArgumentTypeError(
            "multiprocessing_context should be a name such as 'spawn' or a context, "
            f"not {type(given).__name__}"
        )
    return given


def _start(context, recipe, info, init):
    """(process, our end of its pipe)."""
    ours, theirs = context.Pipe()
    parents_ends.add(ours)
    process = context.Process(
        target=work, args=(theirs, recipe, info, init), daemon=True
    )
    try:
        process.start()
    except (pickle.PicklingError, AttributeError, TypeError, AssertionError) as error:
        ours.close()
        raise ArgumentTypeError(
            f"DataLoader: the worker could not be started: {error}",
            hint="num_workers=0 inside a worker"
            if isinstance(error, AssertionError)
            else "where processes are not forked, dataset, collate_fn and worker_init_fn must "
            "be picklable: defined at the top of a module; multiprocessing_context='fork' "
            "forks where the system can",
        ) from error
    finally:
        theirs.close()
    return process, ours


def _receive(pipe: Connection):
    epoch, number, kind, sizes, payload = pipe.recv()
    buffers = []
    for n in sizes:
        buffer = np.empty(n, np.uint8)
        pipe.recv_bytes_into(buffer.data)
        buffers.append(buffer.data)
    return epoch, number, kind, pickle.loads(payload, buffers=buffers)


def _shut_down(workers: list, owner: int, grace: float = GRACE) -> None:
    if os.getpid() != owner:  # a forked copy of the pool: the workers are not ours
        return
    for _, pipe in workers:
        _say_goodbye(pipe)
    end = time.monotonic() + grace
    for process, _ in workers:
        process.join(max(0.0, end - time.monotonic()))
        for force in (process.terminate, process.kill):
            if process.is_alive():
                force()
                process.join(GRACE)
    workers.clear()


def _say_goodbye(pipe: Connection) -> None:
    with contextlib.suppress(OSError, ValueError):  # it may be gone already
        pipe.send(None)
    pipe.close()


def _exit_text(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"exit code {code} (killed by {signal.Signals(-code).name})"
    except ValueError:
        return f"exit code {code} (killed by signal {-code})"


def _exit_hint(code: int | None) -> str:
    if code == -9:
        return "the system may have run out of memory: fewer workers or smaller batches"
    if code == 1:
        return (
            "what the worker printed stands above; where processes are spawned, the "
            "script's own code belongs under if __name__ == '__main__':"
        )
    return "num_workers=0 runs the same code in this process, where a debugger sees it"
