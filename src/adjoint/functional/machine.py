"""What programs set up before they compute: the device, and whether results are repeatable."""

from __future__ import annotations

from .creation import need_cpu
from .face import function


@function
def set_default_device(device) -> None:
    """The device that new tensors are on: the CPU, which it is already.

    >>> set_default_device("cpu")
    """
    need_cpu(device)


@function
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether results must be the same from run to run; here they always are.

    >>> use_deterministic_algorithms(True)
    """


@function
def are_deterministic_algorithms_enabled() -> bool:
    """True: results are the same from run to run, for any number of threads.

    >>> are_deterministic_algorithms_enabled()
    True
    """
    return True
