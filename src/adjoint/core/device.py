"""Devices by name: only the CPU is here."""

from __future__ import annotations

from ..errors import ArgumentError


def need_cpu(device, name: str = "") -> None:
    """`device` is the CPU, or None, which stands for it; `name` says who asks.

    >>> need_cpu("cpu:0"), need_cpu(None)
    (None, None)
    """
    if device is not None and str(device).split(":")[0] != "cpu":
        raise ArgumentError(
            f"{name and f'{name}: '}device {str(device)!r} is not available: this build "
            "computes on 'cpu'"
        )
