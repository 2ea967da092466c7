"""PNG files of arrays."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import numpy as np

from ..core.bind import Box
from ..errors import ArgumentTypeError, ShapeError

KINDS = {1: 0, 3: 2, 4: 6}  # channels -> colour type: grey, RGB, RGBA


def png(image) -> bytes:
    """The PNG file of an array (H, W) or (H, W, 1, 3 or 4): bytes, or floats in [0, 1].

    >>> plot.png(zeros(2, 2))[:4]
    b'\\x89PNG'
    """
    x = pixels(image)
    height, width, channels = x.shape
    head = struct.pack(">IIBBBBB", width, height, 8, KINDS[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # 0: rows as they are
    rows[:, 1:] = x.reshape(height, -1)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*p) for p in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def pixels(image) -> np.ndarray:
    """uint8 (H, W, channels) of an image."""
    x = image.detach().numpy_of() if isinstance(image, Box) else np.asarray(image)
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] not in KINDS or 0 in x.shape:
        raise ShapeError(
            f"an image is (H, W) or (H, W, 1, 3 or 4 channels), got {tuple(x.shape)}"
        )
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind not in "fb":
        raise ArgumentTypeError(
            f"an image holds bytes or floats in [0, 1], not {x.dtype.name}"
        )
    x = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    return np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)


def data_url(image) -> str:
    """The image as an address that holds it whole."""
    return "data:image/png;base64," + b64encode(png(image)).decode()
