"""`adjoint.cuda`: what programs ask of a GPU before they use one. There is none here.

>>> ad.device("cuda" if ad.cuda.is_available() else "cpu")
device(type='cpu')
"""


def is_available() -> bool:
    """False: eager tensors are on the CPU."""
    return False


def device_count() -> int:
    """How many GPUs eager tensors can be on."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed; `adjoint.manual_seed` seeds the CPU."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed; `adjoint.manual_seed` seeds the CPU."""


def empty_cache() -> None:
    """Nothing to give back."""


def synchronize(device=None) -> None:
    """Nothing to wait for."""
