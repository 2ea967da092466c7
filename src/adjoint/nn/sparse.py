"""Tables of vectors that are looked up by number, one by one or in bags."""

from __future__ import annotations

from ..autodiff.modes import no_grad
from ..errors import ArgumentError, ShapeError
from ..functional import creation
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

_SHOWN = {"max_norm": None, "norm_type": 2, "scale_grad_by_freq": False}


class _Table(Module):
    """A table of num_embeddings rows of embedding_dim numbers."""

    shown: dict = {}  # options that are printed, in order, and their defaults

    def _fill(self, padding_idx, weight, freeze, device, dtype) -> None:
        n, name = self.num_embeddings, type(self).__name__
        if padding_idx is not None:
            if not -n <= padding_idx < n:
                raise ArgumentError(
                    f"{name}: padding_idx must be within num_embeddings ({n}), got "
                    f"{padding_idx}"
                )
            padding_idx %= n
        self.padding_idx = padding_idx
        shape = (n, self.embedding_dim)
        if weight is None:
            weight = creation.empty(shape, device=device, dtype=dtype)
            self.weight = Parameter(weight, requires_grad=not freeze)
            self.reset_parameters()
            return
        if tuple(weight.shape) != shape:
            raise ShapeError(
                f"{name}: the weight has shape {tuple(weight.shape)}, which is not "
                f"{shape}"
            )
        self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw rows by the standard normal law; the padding row is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    @classmethod
    def from_pretrained(cls, embeddings, freeze: bool = True, **options):
        """A layer whose table is `embeddings`, not trained unless `freeze` is off.

        >>> nn.Embedding.from_pretrained(tensor([[1., 2.], [3., 4.]]))(tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                f"{cls.__name__}: embeddings is expected to be 2-dimensional, got shape "
                f"{tuple(embeddings.shape)}"
            )
        rows, columns = embeddings.shape
        out = cls(rows, columns, _weight=embeddings, **options)
        out.weight.requires_grad_(not freeze)
        return out

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, default in self.shown.items():
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)


class Embedding(_Table):
    """The rows of a trained table at the positions of the input.

    >>> layer = nn.Embedding(10, 3, padding_idx=0)
    >>> layer(tensor([[1, 2], [4, 0]])).shape, layer(tensor(0)).tolist()
    (adjoint.Size([2, 2, 3]), [0.0, 0.0, 0.0])
    """

    shown = {"padding_idx": None, **_SHOWN, "sparse": False}

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight=None,
        _freeze: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._fill(padding_idx, _weight, _freeze, device, dtype)

    def forward(self, input):
        """The rows."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )


class EmbeddingBag(_Table):
    """Sum, mean or maximum of the rows in each bag, without the rows themselves being kept.

    >>> bag = nn.EmbeddingBag.from_pretrained(tensor([[1., 2.], [3., 4.]]), mode="sum")
    >>> bag(tensor([0, 1, 1]), tensor([0, 2]))
    tensor([[4., 6.],
            [3., 4.]])
    """

    shown = {**_SHOWN, "mode": None, "padding_idx": None}

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight=None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device=None,
        dtype=None,
    ):
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ArgumentError(
                f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._fill(padding_idx, _weight, False, device, dtype)

    def forward(self, input, offsets=None, per_sample_weights=None):
        """One vector a bag: a row of the input, or what lies between offsets."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
