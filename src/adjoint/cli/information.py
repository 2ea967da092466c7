"""`adjoint info` and `adjoint --version`."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from ..core import dtype as dtypes
from ..core.primitive import op
from ..functional.face import FUNCTIONS

OTHERS = (
    "numpy",
    "llvmlite",
    "ml_dtypes",
    "scipy",
    "scikit-learn",
    "torch",
    "tensorboard",
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
DTYPES = [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bool_",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
]


def info(given):
    """What there is, as a table."""
    answer = {
        "adjoint": own_version(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {k: v for k in OTHERS if (v := installed(k))},
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "thread_settings": {k: os.environ[k] for k in THREADS if k in os.environ},
        "default_dtype": str(dtypes.get_default_dtype()).split(".")[-1],
        "dtypes": [n for n in DTYPES if hasattr(dtypes, n)],
        "operations": len(list(op)),
        "functions": len(FUNCTIONS),
    }
    return 0, answer, "\n".join(f"{k:<16} {_shown(v)}" for k, v in answer.items())


def version(given):
    """The version alone."""
    return 0, {"adjoint": own_version()}, f"adjoint {own_version()}"


def own_version() -> str:
    """The version of this package, as it says itself."""
    return sys.modules[__package__.split(".")[0]].__version__


def installed(name: str) -> str:
    """The version of another package, empty where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shown(v) -> str:
    if isinstance(v, dict):
        return ", ".join(f"{k} {x}" for k, x in v.items()) or "none"
    return ", ".join(v) if isinstance(v, list) else str(v)
