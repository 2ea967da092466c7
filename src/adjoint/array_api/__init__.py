"""The Python array API standard, version 2024.12, over tensors.

`x.__array_namespace__()` gives this package. Where the standard and PyTorch differ it
follows the standard: names, `axis`, promotion without ranks, `sign` of NaN, `std` of all.
"""

from math import e, inf, nan, pi

from ..core.dtype import bool_ as bool
from ..core.dtype import (
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from ..functional.creation import from_dlpack
from . import fft, linalg
from .arrays import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .information import (
    __array_namespace_info__,
    can_cast,
    finfo,
    iinfo,
    isdtype,
    result_type,
)
from .reductions import *  # noqa: F403

newaxis = None
__array_api_version__ = "2024.12"
