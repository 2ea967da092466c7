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


class device(str):
    """A device by its name, such as "cpu", and number; only the CPU is here.

    >>> device("cpu"), device("cpu", 0) == device("cpu:0")
    (device(type='cpu'), True)
    """

    __slots__ = ()

    def __new__(cls, type, index: int | None = None):
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        name = name if index is None else f"{name}:{index}"
        need_cpu(name)
        kind, colon, number = name.partition(":")
        if colon and not number.isdecimal():
            raise ArgumentError(f"device: a number must follow {kind!r}, got {name!r}")
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind of device."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its number, if it was named by one."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __repr__(self):
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{number})"

    def __enter__(self):
        """Inside, new tensors are on it: there is no other."""
        return self

    def __exit__(self, *_):
        pass


CPU = device("cpu")


def get_default_device() -> device:
    """The device that new tensors are on."""
    return CPU
