"""What a workload is: its data, and one builder of a step for each library."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent


@dataclass
class Run:
    """A step that is ready to be called again and again."""

    step: Callable[[], object]
    result: Callable[[], list]  # arrays that all libraries must agree on
    finish: Callable[[], object] = lambda: None  # waits for what runs behind
    steps: int = 1  # how many steps one call makes
    flop: float = 0.0  # of a measurement of the machine
    bytes: float = 0.0


Builder = Callable[[object, dict], Run]


@dataclass
class Workload:
    """A row of the table: `forms` maps a competitor's name to its builder."""

    title: str
    data: Callable[[], dict]
    forms: dict[str, Builder]
    goal: float | None = None  # time of the fastest peer / ours, at least
    most: float | None = None  # seconds a step, at most
    flop: float = 0.0  # of one step, contractions only
    bytes: float = 0.0  # that one step must move
    check: int = 4  # steps before results are compared
    tolerance: float = 1e-3  # of the norm of each result
    eager: bool = False  # about ours without the compiler
    against: tuple[str, ...] = ()  # to be compared with these instead of the peers
    notes: dict[str, str] = field(default_factory=dict)


def rng(seed: int = 0):
    """The stream of random numbers that every library's data comes from."""
    return np.random.default_rng(seed)


def normal(stream, *shape, scale=1.0):
    """float32 normal numbers."""
    return (stream.normal(size=shape) * scale).astype(np.float32)


def load() -> dict[str, Workload]:
    """All workloads by name, in the order of the files."""
    found: dict[str, Workload] = {}
    for path in sorted((HERE / "workloads").glob("[!_]*.py")):
        found |= importlib.import_module(f"workloads.{path.stem}").WORKLOADS
    return found
