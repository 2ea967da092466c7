"""Losses as modules: PyTorch's, all of them, and robust and percentage ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from ..functional.face import need_tensor
from . import functional as F
from .applied import REQUIRED, Applied
from .distance import PairwiseDistance
from .linear import Linear

_OLD = {"size_average": None, "reduce": None}
_REDUCTION = {**_OLD, "reduction": "mean"}
_WEIGHTS = ("weight", "pos_weight")


class _Loss(Applied):
    """A function of predictions and targets, with a reduction over all elements.

    Weights are buffers, so that they are saved with the model.
    """

    options = _REDUCTION
    reductions = ("none", "mean", "sum")
    shows = ""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.passed = tuple(k for k in cls.options if k not in _OLD)

    def prepare(self) -> None:
        """The reduction by name (older flags still choose it), and weights as buffers."""
        old = [vars(self).pop(k, None) for k in _OLD]
        if old != [None, None]:
            average, reduce = old
            mode = "sum" if average is False else "mean"
            self.reduction = "none" if reduce is False else mode
        if self.reduction not in self.reductions:
            raise ArgumentError(
                f"{type(self).__name__}: reduction must be one of {self.reductions}, got "
                f"{self.reduction!r}"
            )
        for name in _WEIGHTS:
            if name in type(self).options:
                self.register_buffer(name, vars(self).pop(name))
        self.check()

    def check(self) -> None:
        """Check the other options."""

    def _need(self, name, good, rule) -> None:
        if not good:
            raise ArgumentError(
                f"{type(self).__name__}: {name} must be {rule}, got "
                f"{getattr(self, name)!r}"
            )


# ---------------------------------------------------------------- regression


class L1Loss(_Loss):
    """|x − t|.

    >>> nn.L1Loss()(tensor([1., 3.]), tensor([0., 0.]))
    tensor(2.)
    """

    call = staticmethod(F.l1_loss)


class MSELoss(_Loss):
    """(x − t)².

    >>> nn.MSELoss()(tensor([1., 3.]), tensor([0., 0.]))
    tensor(5.)
    """

    call = staticmethod(F.mse_loss)


class SmoothL1Loss(_Loss):
    """d²/2β where |d| < β, |d| − β/2 beyond, with d = x − t.

    >>> nn.SmoothL1Loss(reduction="none")(tensor([0.5, 3.]), tensor([0., 0.]))
    tensor([0.1250, 2.5000])
    """

    call = staticmethod(F.smooth_l1_loss)
    options = {**_REDUCTION, "beta": 1.0}

    def check(self) -> None:
        """β is not negative."""
        self._need("beta", self.beta >= 0, "0 or more")


class HuberLoss(_Loss):
    """d²/2 where |d| < δ, δ (|d| − δ/2) beyond, with d = x − t.

    >>> nn.HuberLoss("none", delta=2.)(tensor([1., 5.]), tensor([0., 0.]))
    tensor([0.5000, 8.0000])
    """

    call = staticmethod(F.huber_loss)
    options = {"reduction": "mean", "delta": 1.0}

    def check(self) -> None:
        """δ is positive."""
        self._need("delta", self.delta > 0, "positive")


class PoissonNLLLoss(_Loss):
    """eˣ − t x, or x − t ln(x + eps) if not `log_input`; `full` adds Stirling's ln t!.

    >>> nn.PoissonNLLLoss()(tensor([0.]), tensor([2.]))
    tensor(1.)
    """

    call = staticmethod(F.poisson_nll_loss)
    options = {
        "log_input": True,
        "full": False,
        "size_average": None,
        "eps": 1e-8,
        "reduce": None,
        "reduction": "mean",
    }


class GaussianNLLLoss(_Loss):
    """½ (ln v + (x − t)²/v) of a variance v, at least eps; `full` adds ½ ln 2π.

    >>> nn.GaussianNLLLoss()(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """

    call = staticmethod(F.gaussian_nll_loss)
    options = {"full": False, "eps": 1e-6, "reduction": "mean"}
    positional = 0


class KLDivLoss(_Loss):
    """t (ln t − x) of a log-probability x; with `log_target` of ln t. "batchmean" too.

    >>> loss = nn.KLDivLoss(reduction="batchmean")
    >>> loss(tensor([[-1., -1.]]), tensor([[0.5, 0.5]]))
    tensor(0.3069)
    """

    call = staticmethod(F.kl_div)
    options = {**_REDUCTION, "log_target": False}
    reductions = (*_Loss.reductions, "batchmean")


class MAPELoss(_Loss):
    """Absolute error in percent of the target, 100 |x − t| / max(|t|, eps).

    >>> nn.MAPELoss()(tensor([9., 22.]), tensor([10., 20.]))
    tensor(10.)
    """

    call = staticmethod(F.mape_loss)
    options = {"eps": 1e-8, "reduction": "mean"}


class LogCoshLoss(_Loss):
    """ln cosh(x − t): d²/2 near 0, |d| − ln 2 far out.

    >>> nn.LogCoshLoss()(tensor([1.]), tensor([0.]))
    tensor(0.4338)
    """

    call = staticmethod(F.log_cosh_loss)
    options = {"reduction": "mean"}


class CauchyLoss(_Loss):
    """c²/2 · ln(1 + (d/c)²), d = x − t: large errors count by their logarithm.

    >>> nn.CauchyLoss()(tensor([1.]), tensor([0.]))
    tensor(0.3466)
    """

    call = staticmethod(F.cauchy_loss)
    options = {"c": 1.0, "reduction": "mean"}

    def check(self) -> None:
        """c is positive."""
        self._need("c", self.c > 0, "positive")


class TukeyLoss(_Loss):
    """Tukey's biweight, c²/6 · (1 − (1 − (d/c)²)³) for |d| ≤ c, c²/6 beyond.

    >>> nn.TukeyLoss(6., "none")(tensor([100., 0.]), tensor([0., 0.]))
    tensor([6., 0.])
    """

    call = staticmethod(F.tukey_loss)
    options = {"c": 4.685, "reduction": "mean"}

    def check(self) -> None:
        """c is positive."""
        self._need("c", self.c > 0, "positive")


# ---------------------------------------------------------------- two classes


class BCELoss(_Loss):
    """−t ln x − (1 − t) ln(1 − x) of a probability x, its logarithms at least −100.

    >>> nn.BCELoss()(tensor([0.8]), tensor([1.]))
    tensor(0.2231)
    """

    call = staticmethod(F.binary_cross_entropy)
    options = {"weight": None, **_REDUCTION}


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of σ(x), exact for any logit x; `pos_weight` multiplies t's part.

    >>> nn.BCEWithLogitsLoss()(tensor([1e4, -1e4]), tensor([1., 1.]))
    tensor(5000.)
    """

    call = staticmethod(F.binary_cross_entropy_with_logits)
    options = {"weight": None, **_REDUCTION, "pos_weight": None}


class SoftMarginLoss(_Loss):
    """ln(1 + e^(−t x)) for t of ±1.

    >>> nn.SoftMarginLoss()(tensor([0.]), tensor([1.]))
    tensor(0.6931)
    """

    call = staticmethod(F.soft_margin_loss)


class HingeEmbeddingLoss(_Loss):
    """x where t = 1, max(0, margin − x) where t = −1.

    >>> nn.HingeEmbeddingLoss(reduction="none")(tensor([0.3, 0.3]), tensor([1., -1.]))
    tensor([0.3000, 0.7000])
    """

    call = staticmethod(F.hinge_embedding_loss)
    options = {"margin": 1.0, **_REDUCTION}


class CosineEmbeddingLoss(_Loss):
    """1 − cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) − margin) where t = −1.

    >>> a, b = tensor([[3., 4.]]), tensor([[4., 3.]])
    >>> nn.CosineEmbeddingLoss(0.5)(a, b, tensor([-1]))
    tensor(0.4600)
    """

    call = staticmethod(F.cosine_embedding_loss)
    options = {"margin": 0.0, **_REDUCTION}


class MarginRankingLoss(_Loss):
    """max(0, −t (x₁ − x₂) + margin).

    >>> nn.MarginRankingLoss()(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """

    call = staticmethod(F.margin_ranking_loss)
    options = {"margin": 0.0, **_REDUCTION}


# ---------------------------------------------------------------- many classes


class NLLLoss(_Loss):
    """−w(t) x(t) of log-probabilities x (N,C,·) and classes t; the mean is over weights.

    >>> nn.NLLLoss()(tensor([[-1., -2.]]), tensor([1]))
    tensor(2.)
    """

    call = staticmethod(F.nll_loss)
    options = {
        "weight": None,
        "size_average": None,
        "ignore_index": -100,
        "reduce": None,
        "reduction": "mean",
    }


class NLLLoss2d(NLLLoss):
    """`NLLLoss`, by an older name."""


class CrossEntropyLoss(_Loss):
    """−w(t) log softmax(x)(t) of logits x (N,C,·) and classes t, or probabilities of them.

    >>> nn.CrossEntropyLoss()(tensor([[0., 0.]]), tensor([1]))
    tensor(0.6931)
    """

    call = staticmethod(F.cross_entropy)
    options = {**NLLLoss.options, "label_smoothing": 0.0}

    def check(self) -> None:
        """The smoothing is a part."""
        _need_part(self)


def _need_part(module):
    if not 0 <= module.label_smoothing <= 1:
        raise ArgumentError(
            f"{type(module).__name__}: label_smoothing must lie in [0, 1], got "
            f"{module.label_smoothing}"
        )


class MultiMarginLoss(_Loss):
    """Σ over i ≠ t of w(t) max(0, margin − x(t) + x(i))ᵖ / C, p 1 or 2.

    >>> nn.MultiMarginLoss()(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3]))
    tensor(0.3250)
    """

    call = staticmethod(F.multi_margin_loss)
    options = {"p": 1, "margin": 1.0, "weight": None, **_REDUCTION}

    def check(self) -> None:
        """Only p of 1 and 2; a weight a class."""
        self._need("p", self.p in (1, 2), "1 or 2")
        self._need("weight", self.weight is None or self.weight.ndim == 1, "1-D")


class MultiLabelMarginLoss(_Loss):
    """Σ over classes j of the target and i not of it of max(0, 1 − x(j) + x(i)) / C.

    >>> t = tensor([[3, 0, -1, 1]])
    >>> nn.MultiLabelMarginLoss()(tensor([[0.1, 0.2, 0.4, 0.8]]), t)
    tensor(0.8500)
    """

    call = staticmethod(F.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross entropy with logits, averaged over the last dim.

    >>> nn.MultiLabelSoftMarginLoss()(tensor([[0., 0.]]), tensor([[1., 0.]]))
    tensor(0.6931)
    """

    call = staticmethod(F.multilabel_soft_margin_loss)
    options = {"weight": None, **_REDUCTION}


class MulticlassHingeLoss(_Loss):
    """max(0, margin + max over other classes of x(i) − x(t)), after Crammer and Singer.

    >>> nn.MulticlassHingeLoss()(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3]))
    tensor(0.6000)
    """

    call = staticmethod(F.multiclass_hinge_loss)
    options = {"margin": 1.0, "reduction": "mean"}


class SquaredExpectationLoss(_Loss):
    """‖t − softmax(x)‖² over the last dim; t class numbers or probabilities.

    >>> nn.SquaredExpectationLoss()(tensor([[0., 0.]]), tensor([1]))
    tensor(0.5000)
    """

    call = staticmethod(F.squared_expectation_loss)
    options = {"reduction": "mean"}


# ---------------------------------------------------------------- triplets, sequences


class TripletMarginLoss(_Loss):
    """max(0, margin + ‖a − p‖ − ‖a − n‖); `swap` takes ‖p − n‖ if that is less.

    >>> a, b, c = tensor([[0., 0.]]), tensor([[3., 4.]]), tensor([[0., 1.]])
    >>> nn.TripletMarginLoss()(a, b, c)
    tensor(5.0000)
    """

    call = staticmethod(F.triplet_margin_loss)
    options = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **_REDUCTION}

    def check(self) -> None:
        """The margin is positive."""
        self._need("margin", self.margin > 0, "positive")


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` of any distance of two tensors.

    >>> a, b, c = tensor([[0., 0.]]), tensor([[3., 4.]]), tensor([[0., 1.]])
    >>> distance = lambda x, y: (x - y).abs().sum(-1)
    >>> nn.TripletMarginWithDistanceLoss(distance_function=distance)(a, b, c)
    tensor(7.)
    """

    call = staticmethod(F.triplet_margin_with_distance_loss)
    options = {
        "distance_function": None,
        "margin": 1.0,
        "swap": False,
        "reduction": "mean",
    }
    positional = 0

    def check(self) -> None:
        """The margin is positive, the distance Euclid's if none is given."""
        self._need("margin", self.margin > 0, "positive")
        if self.distance_function is None:
            self.distance_function = PairwiseDistance()


class CTCLoss(_Loss):
    """−ln of the probability of a label sequence under all its alignments (Graves, 2006).

    >>> x = log_softmax(zeros(3, 1, 2), 2)
    >>> nn.CTCLoss()(x, tensor([[1]]), [3], [1])
    tensor(0.2877)
    """

    call = staticmethod(F.ctc_loss)
    options = {"blank": 0, "reduction": "mean", "zero_infinity": False}


# ---------------------------------------------------------------- with a layer of its own


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch cuts `linear_cross_entropy` into chunks; here it makes no difference.

    >>> nn.LinearCrossEntropyOptions(batch_chunk_size=64).chunking_method
    'auto'
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


class LinearCrossEntropyLoss(_Loss):
    """Cross entropy of the logits x Wᵀ + b, W and b of this module.

    Several losses an example have their shape as `out_features`.

    >>> nn.LinearCrossEntropyLoss(5, 10)(zeros(2, 5), tensor([1, 2]))
    tensor(2.3026, grad_fn=<MeanBackward0>)
    """

    options = {
        "in_features": REQUIRED,
        "num_classes": REQUIRED,
        "out_features": (),
        "bias": False,
        "device": None,
        "dtype": None,
        "reduction": "mean",
        "weight": None,
        "ignore_index": None,
        "label_smoothing": 0.0,
        "options": None,
    }
    positional = 2
    shows = (
        "in_features={in_features}, num_classes={num_classes}, "
        "out_features={out_features}, bias={bias}, reduction={reduction}, "
        "ignore_index={ignore_index}, label_smoothing={label_smoothing}"
    )

    def check(self) -> None:
        """The layer that makes the logits."""
        _need_part(self)
        kind = {k: vars(self).pop(k) for k in ("device", "dtype")}
        several = math.prod(self.out_features, start=self.num_classes)
        self.linear = Linear(self.in_features, several, self.bias, **kind)

    def forward(self, input, target):
        """The cross entropy of the logits (N, C, *out_features)."""
        need_tensor(input, type(self).__name__)
        size = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*size, self.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(size),
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
