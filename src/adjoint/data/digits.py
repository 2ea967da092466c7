"""The optical digits: 1,797 images of 8 x 8 pixels, small enough to come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.dtype import get_default_dtype
from ..errors import ArgumentError
from ..functional.face import FUNCTIONS

FILE = Path(__file__).with_name("digits.npz")
TEST_EVERY = 5  # of each digit, every fifth image in the file's order is for testing


def load_digits(split: str | None = None, *, flat: bool = True):
    """(x, y) of the images and the digits they show; pixels are numbers from 0 to 1.

    `split` is "train" (1,442 images), "test" (355: of each digit every fifth) or None (all).
    The same 13 people wrote both parts: accuracy is for their handwriting. Images have shape
    [64], or [1, 8, 8] where `flat` is False. Source and license: `digits.md` beside this file.

    >>> x, y = load_digits("test")
    >>> x.shape, y.shape, y[:5].tolist(), x.max().item()
    (adjoint.Size([355, 64]), adjoint.Size([355]), [5, 0, 9, 8, 7], 1.0)
    """
    if split not in (None, "train", "test"):
        raise ArgumentError(
            f'load_digits: split must be "train", "test" or None, got {split!r}'
        )
    with np.load(FILE) as file:
        images, labels = file["images"], file["labels"]
    if split:
        chosen = _is_test(labels) == (split == "test")
        images, labels = images[chosen], labels[chosen]
    shape = (-1, 64) if flat else (-1, 1, 8, 8)
    x = images.reshape(shape).astype(get_default_dtype().np) / 16
    return FUNCTIONS["from_numpy"](x), FUNCTIONS["from_numpy"](labels.astype(np.int64))


def _is_test(labels: np.ndarray) -> np.ndarray:
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return test
