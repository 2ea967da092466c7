"""`nn.modules`: modules by the files in which PyTorch keeps them, and hooks of all of them."""

import sys

from .. import (
    activation,
    adaptive,
    distance,
    dropout,
    lazy,
    linear,
    loss,
    normalization,
    padding,
    pooling,
    sparse,
    transformer,
)
from .. import containers as container
from .. import convolution as conv
from .. import normalization as batchnorm
from .. import normalization as instancenorm
from .. import recurrent as rnn
from .. import shape as channelshuffle
from .. import shape as flatten
from .. import shape as fold
from .. import shape as pixelshuffle
from .. import shape as upsampling
from . import module


def __getattr__(name):
    """All public names of `nn` are here too."""
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(sys.modules[__name__.rpartition(".")[0]], name)
