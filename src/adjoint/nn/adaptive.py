"""Log softmax over very many classes, at the cost of few."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import ArgumentError, DimError, ShapeError, TraceError
from ..functional.face import FUNCTIONS, need_tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module


class AdaptiveLoss(NamedTuple):
    """The log-probability of each target, and the mean loss."""

    output: Any
    loss: Any


def _rising(cutoffs: list, last: int) -> list:
    rising = all(a < b for a, b in zip([0, *cutoffs], cutoffs, strict=False))
    if not cutoffs or not rising or cutoffs[-1] > last:
        raise ArgumentError(
            "AdaptiveLogSoftmaxWithLoss: cutoffs must be integers that rise from 1 to "
            f"at most {last}, got {cutoffs}"
        )
    return cutoffs


class AdaptiveLogSoftmaxWithLoss(Module):
    """log softmax over many classes, rare ones in clusters of less capacity (Grave, 2017).

    The first `cutoffs[0]` classes, the frequent ones, and one place a cluster make the head;
    cluster i has classes from cutoffs[i] on and in_features / div_valueⁱ⁺¹ inner features.

    >>> loss = nn.AdaptiveLogSoftmaxWithLoss(32, 20, [4, 10])
    >>> loss(zeros(3, 32), tensor([0, 5, 19])).output.shape
    adjoint.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs,
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        cutoffs = _rising(list(cutoffs), n_classes - 1)
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        kind = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(self._clusters()):
            inner = int(in_features // div_value ** (i + 1))
            first = Linear(in_features, inner, bias=False, **kind)
            second = Linear(inner, high - low, bias=False, **kind)
            self.tail.append(Sequential(first, second))

    def _clusters(self):
        return zip(self.cutoffs, self.cutoffs[1:], strict=False)

    def reset_parameters(self) -> None:
        """Draw all layers anew."""
        for layer in [self.head, *(m for pair in self.tail for m in pair)]:
            layer.reset_parameters()

    def forward(self, input_, target_):
        """(log-probability of each target, mean loss)."""
        x, t = (need_tensor(v, "AdaptiveLogSoftmaxWithLoss") for v in (input_, target_))
        if t.ndim > 1 or x.ndim != t.ndim + 1 or x.shape[:-1] != t.shape:
            raise ShapeError(
                "AdaptiveLogSoftmaxWithLoss: expects (N, features) and (N), or (features) "
                f"and (), got {tuple(x.shape)} and {tuple(t.shape)}"
            )
        rows, t_flat = x.reshape(-1, self.in_features), t.reshape(-1)
        try:
            low, high = (int(t.min()), int(t.max())) if t.numel() else (0, 0)
        except TraceError:
            output = self._of_any_targets(rows, t_flat)
        else:
            self._need_classes(low, high)
            output = self._of_targets(rows, t_flat)
        return AdaptiveLoss(output if t.ndim else output.reshape(()), -output.mean())

    def _need_classes(self, low, high):
        if not 0 <= low <= high < self.n_classes:
            raise DimError(
                "AdaptiveLogSoftmaxWithLoss: target values should be in "
                f"[0, {self.n_classes - 1}], got {low} to {high}"
            )

    def _of_any_targets(self, x, t):
        """The same where the targets are not known yet: every cluster sees every row."""
        return self.log_prob(x).gather(1, t.unsqueeze(1)).squeeze(1)

    def _of_targets(self, x, t):
        """The head's log-probability, of a class or a cluster, plus that within the cluster."""
        place, inside = t, 0
        for i, (low, high) in enumerate(self._clusters()):
            rows = ((t >= low) & (t < high)).nonzero().reshape(-1)
            if not rows.numel():
                continue
            place = place.index_fill(0, rows, self.shortlist_size + i)
            logp = F.log_softmax(self.tail[i](x[rows]), 1)
            logp = logp.gather(1, (t[rows] - low).unsqueeze(1)).squeeze(1)
            inside = inside + x.new_zeros(len(t)).index_add(0, rows, logp)
        head = F.log_softmax(self.head(x), 1)
        return head.gather(1, place.unsqueeze(1)).squeeze(1) + inside

    def log_prob(self, input):
        """The log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, layers in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(layers(input), 1) + cluster)
        return FUNCTIONS["cat"](parts, 1)

    def predict(self, input):
        """The most probable class of each example."""
        return self.log_prob(input).argmax(1)
