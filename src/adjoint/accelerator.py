"""`adjoint.accelerator`: what programs ask before they choose a device. There is none but the CPU.

>>> ad.accelerator.current_accelerator() if ad.accelerator.is_available() else "cpu"
'cpu'
"""


def is_available() -> bool:
    """False: eager tensors are on the CPU."""
    return False


def device_count() -> int:
    """How many accelerators eager tensors can be on."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The device of the accelerator: None, there is none."""


def synchronize(device=None) -> None:
    """Nothing to wait for."""
