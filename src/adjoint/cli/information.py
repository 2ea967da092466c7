"""`adjoint info`, of the engine or of a file of weights, and `adjoint --version`."""

from __future__ import annotations

import math
import os
import platform
import sys
from importlib import metadata

from ..core import dtype as dtypes
from ..core.primitive import op
from ..core.threads import cores
from ..functional.face import FUNCTIONS
from ..io import safe_open

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


def info(given):
    """What there is, as a table."""
    if given.file is not None:
        return file(given)
    answer = {
        "adjoint": own_version(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {k: v for k in OTHERS if (v := installed(k))},
        "cores": os.cpu_count(),
        "usable_cores": cores(),
        "thread_settings": {k: os.environ[k] for k in THREADS if k in os.environ},
        "default_dtype": str(dtypes.get_default_dtype()).split(".")[-1],
        "dtypes": list(dtypes.BY_NAME),
        "operations": len(list(op)),
        "functions": len(FUNCTIONS),
    }
    return 0, answer, "\n".join(f"{k:<16} {_shown(v)}" for k, v in answer.items())


def file(given):
    """The tensors of a safetensors file: names, dtypes, shapes, bytes; none is read."""
    header = safe_open(given.file).header
    tensors = [
        {
            "name": name,
            "dtype": e.dtype,
            "shape": list(e.shape),
            "bytes": e.end - e.start,
        }
        for name, e in header.entries.items()
    ]
    # a tensor that was written once for two names; the structure is that of a checkpoint
    same = {k: v for k, v in header.metadata.items() if v in header.entries}
    skip = {"structure", *same}
    notes = {k: v for k, v in header.metadata.items() if k not in skip}
    answer = {
        "file": given.file,
        "tensors": tensors,
        "aliases": same,
        "metadata": notes,
        "parameters": sum(math.prod(t["shape"]) for t in tensors),
        "bytes": sum(t["bytes"] for t in tensors),
    }
    return 0, answer, _table(answer)


def _table(answer) -> str:
    rows = [
        (t["name"], t["dtype"], str(t["shape"]), f"{t['bytes']:,}")
        for t in answer["tensors"]
    ]
    rows += [(k, "", f"is {v}", "") for k, v in answer["aliases"].items()]
    rows.insert(0, ("name", "dtype", "shape", "bytes"))
    a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{n:<{a}}  {t:<{b}}  {s:<{c}}  {size:>{d}}" for n, t, s, size in rows]
    lines += [f"{k}: {v}" for k, v in answer["metadata"].items()]
    counts = len(answer["tensors"]), answer["parameters"], answer["bytes"]
    lines.append("tensors {:,}, numbers {:,}, bytes {:,}".format(*counts))
    return "\n".join(line.rstrip() for line in lines)


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


def _shown(v) -> str:
    if isinstance(v, dict):
        return ", ".join(f"{k} {x}" for k, x in v.items()) or "none"
    return ", ".join(v) if isinstance(v, list) else str(v)
