"""TensorBoard's event files, written and read without TensorBoard."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError
from ..plot.png import pixels, png
from . import records

_numbers = count()


class SummaryWriter:
    """Writes numbers, histograms, images and text that TensorBoard shows.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with train.SummaryWriter(folder) as writer:
    ...         writer.add_scalar("loss", 0.5, 1)
    ...     [(e.tag, e.step, e.value) for e in train.read_events(folder)]
    [('loss', 1, 0.5)]
    """

    def __init__(self, log_dir, *, filename_suffix: str = ""):
        self.log_dir = Path(log_dir)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = (
            f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}"
            f".{os.getpid()}.{next(_numbers)}{filename_suffix}"
        )
        self.path = self.log_dir / name
        self._file = open(self.path, "wb")  # noqa: SIM115 - closed by close
        self._file.write(records.record(records.version(now)))

    def add_scalar(self, tag: str, scalar_value, global_step=0, walltime=None) -> None:
        """A number at a step."""
        self._add(tag, records.scalar(float(scalar_value)), global_step, walltime)

    def add_scalars(self, main_tag: str, tag_scalar_dict, global_step=0) -> None:
        """Several numbers below one tag."""
        for name, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{name}", value, global_step)

    def add_histogram(
        self, tag: str, values, global_step=0, bins=30, walltime=None
    ) -> None:
        """How the values of a tensor are distributed; those not finite are left out."""
        h = histogram_of(values, bins)
        self._add(tag, records.histogram(h), global_step, walltime)

    def add_image(
        self, tag: str, img_tensor, global_step=0, walltime=None, dataformats="CHW"
    ) -> None:
        """An image: bytes, or floats in [0, 1], with dims as `dataformats` says."""
        x = pixels(_last_channels(_array(img_tensor), dataformats))
        value = records.image(x.shape[0], x.shape[1], x.shape[2], png(x))
        self._add(tag, value, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step=0, walltime=None
    ) -> None:
        """Text, which TensorBoard reads as Markdown."""
        self._add(tag, records.words(str(text_string)), global_step, walltime)

    def _add(self, tag, value, step, walltime):
        if self._file.closed:
            raise ArgumentError(f"{self.path.name} is closed")
        if not isinstance(tag, str):
            raise ArgumentTypeError(f"a tag is a string, got {type(tag).__name__}")
        now = time.time() if walltime is None else float(walltime)
        message = records.event(tag, int(step or 0), value, now)
        self._file.write(records.record(message))

    def flush(self) -> None:
        """Everything so far reaches the file."""
        self._file.flush()

    def close(self) -> None:
        """No more will be written."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _array(x) -> np.ndarray:
    return x.detach().numpy_of() if isinstance(x, Box) else np.asarray(x)


def _last_channels(x, formats):
    if sorted(formats) not in (sorted("HW"), sorted("CHW")) or x.ndim != len(formats):
        raise ArgumentError(
            f"add_image: dataformats {formats!r} do not fit an image of {x.ndim} dims",
            hint="'CHW', 'HWC' or 'HW'",
        )
    return np.moveaxis(x, formats.index("C"), -1) if "C" in formats else x


def histogram_of(values, bins=30) -> records.Histogram:
    """The counts of the finite values in equal bins."""
    x = _array(values).astype(np.float64).reshape(-1)
    x = x[np.isfinite(x)]
    if not x.size:
        return records.Histogram(0.0, 0.0, 0.0, 0.0, 0.0, [0.0], [0.0])
    counts, edges = np.histogram(x, bins)
    moments = (float(v) for v in (x.min(), x.max(), x.size, x.sum(), (x * x).sum()))
    limits = edges[1:].astype(float).tolist()
    return records.Histogram(*moments, limits, counts.astype(float).tolist())


def read_events(path) -> Iterator[records.Event]:
    """The values in an event file, or in all event files of a folder, in order of name."""
    path = Path(path)
    files = sorted(path.glob("*tfevents*")) if path.is_dir() else [path]
    for file in files:
        for message in records.records(file.read_bytes()):
            yield from records.decoded(message)
