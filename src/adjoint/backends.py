"""`adjoint.backends`: what PyTorch programs ask of, and set for, libraries that are not here.

>>> ad.backends.mps.is_available(), ad.backends.cuda.is_built()
(False, False)
"""

from __future__ import annotations

from types import SimpleNamespace


def _absent(**settings) -> SimpleNamespace:
    """A library that is not here; its settings are kept and change nothing."""
    return SimpleNamespace(
        is_available=lambda: False, is_built=lambda: False, **settings
    )


cuda = _absent(
    matmul=SimpleNamespace(
        allow_tf32=False, allow_fp16_reduced_precision_reduction=False
    )
)
cudnn = _absent(
    enabled=False,
    benchmark=False,
    deterministic=True,
    allow_tf32=False,
    version=lambda: None,
)
mkl, mkldnn, mps, openmp = _absent(), _absent(enabled=False), _absent(), _absent()

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
