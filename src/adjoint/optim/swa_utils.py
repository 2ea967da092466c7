"""Averages of a model over training: of all its states, or of the last ones most."""

from __future__ import annotations

import copy
import itertools
import math

from ..autodiff.modes import no_grad
from ..core import dtype as dt
from ..core.bind import dtype_of
from ..core.device import need_cpu
from ..errors import ArgumentError
from ..functional import creation
from ..functional.branch import cond
from ..nn.module import Module
from ..nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .lr_scheduler.scheduler import LRScheduler, per_group

_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def get_swa_avg_fn():
    """f(average, now, n): the plain average of n + 1 states.

    >>> from adjoint.optim.swa_utils import get_swa_avg_fn
    >>> get_swa_avg_fn()(tensor(2.), tensor(5.), 2)
    tensor(3.)
    """

    @no_grad()
    def swa_update(averaged_param, current_param, num_averaged):
        way = current_param - averaged_param
        return averaged_param + way / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay=0.999):
    """f(average, now, n): a mean that forgets, decay · average + (1 − decay) · now.

    >>> from adjoint.optim.swa_utils import get_ema_avg_fn
    >>> get_ema_avg_fn(0.75)(tensor(2.), tensor(6.), 2)
    tensor(3.)
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param, current_param, num_averaged):
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_multi_avg_fn():
    """f(averages, nows, n): the plain average, written into each of the averages.

    >>> from adjoint.optim.swa_utils import get_swa_multi_avg_fn
    >>> average = tensor(2.)
    >>> get_swa_multi_avg_fn()([average], [tensor(5.)], 2)
    >>> average
    tensor(3.)
    """
    return _of_each(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay=0.999):
    """f(averages, nows, n): the mean that forgets, written into each of the averages.

    >>> from adjoint.optim.swa_utils import get_ema_multi_avg_fn
    >>> average = tensor(2.)
    >>> get_ema_multi_avg_fn(0.75)([average], [tensor(6.)], 2)
    >>> average
    tensor(3.)
    """
    return _of_each(get_ema_avg_fn(decay))


def _check_decay(decay):
    if not 0.0 <= decay <= 1.0:
        raise ArgumentError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _of_each(average):
    @no_grad()
    def update(averaged_params, current_params, num_averaged):
        for x, now in zip(averaged_params, current_params, strict=True):
            x.copy_(average(x, now, num_averaged))

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's over training.

    `update_parameters(model)` takes another state into the average, the first one as it is.
    The average is that of all states, or what `avg_fn(average, now, n)` or, for lists of
    tensors, `multi_avg_fn(averages, nows, n)` makes of it. Buffers are copied from the
    model, or with `use_buffers` averaged too.

    >>> from adjoint import nn
    >>> from adjoint.optim.swa_utils import AveragedModel
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model)
    >>> for value in (1., 2., 6.):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average(ones(1, 1)).tolist(), average.n_averaged.item()
    ([[3.0]], 3)
    """

    def __init__(
        self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError(
                "Only one of avg_fn and multi_avg_fn should be provided"
            )
        need_cpu(device)
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", creation.tensor(0, dtype=dt.int64))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model) -> None:
        """Take the model as it is now into the average."""
        mine, theirs = self._averaged(self.module), self._averaged(model)
        pairs = [(x.detach(), y.detach()) for x, y in zip(mine, theirs, strict=True)]
        first = self.n_averaged == 0
        new = cond(first, lambda: [now for _, now in pairs], lambda: self._next(pairs))
        for (x, _), y in zip(pairs, new, strict=True):
            x.copy_(y)
        if not self.use_buffers:
            buffers = zip(self.module.buffers(), model.buffers(), strict=True)
            for x, now in buffers:
                x.copy_(now)
        self.n_averaged.add_(1)

    def _next(self, pairs) -> list:
        """The averages with another state in them."""
        n = self.n_averaged
        if self.multi_avg_fn is None:
            average = self.avg_fn or get_swa_avg_fn()
            return [average(x, now, n).to(now.dtype) for x, now in pairs]
        pairs = [(x.clone(), now) for x, now in pairs]
        for some in _by_dtype(pairs):
            self.multi_avg_fn(*map(list, zip(*some, strict=True)), n)
        return [x for x, _ in pairs]

    def _averaged(self, model):
        if not self.use_buffers:
            return model.parameters()
        return itertools.chain(model.parameters(), model.buffers())


def _by_dtype(pairs):
    groups: dict = {}
    for pair in pairs:
        groups.setdefault(dtype_of(pair[0]), []).append(pair)
    return groups.values()


@no_grad()
def update_bn(loader, model, device=None) -> None:
    """Let the batch norms of `model` see all data once: their statistics become its.

    Needed for an averaged model, whose activations are of no model that was trained.

    >>> from adjoint import nn
    >>> from adjoint.optim.swa_utils import update_bn
    >>> model = nn.BatchNorm1d(1)
    >>> update_bn([tensor([[1.], [3.]]), tensor([[5.], [7.]])], model)
    >>> model.running_mean
    tensor([4.])
    """
    need_cpu(device)
    norms = [m for m in model.modules() if isinstance(m, _BATCH_NORMS)]
    momenta = [m.momentum for m in norms]
    if not norms:
        return
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
    try:
        for batch in loader:
            model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the rate of each group to the constant `swa_lr` in `anneal_epochs` epochs.

    Along a cosine ("cos") or a line ("linear"); after that the states of the model are
    worth averaging.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.swa_utils.SWALR(opt, 0.5, 2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [0.5]
    [0.5]
    """

    def __init__(
        self,
        optimizer,
        swa_lr,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        values = per_group("swa_lr", optimizer, swa_lr)
        for o, lr in zip(optimizer.param_groups, values, strict=True):
            o["swa_lr"] = lr
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The last rates, moved on towards swa_lr, so that other schedulers may act too."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        out = []
        for o in self.optimizer.param_groups:
            goal, lr = o["swa_lr"], o["lr"]
            start = goal if before == 1 else (lr - before * goal) / (1 - before)
            out.append(goal * now + start * (1 - now))
        return out

    def _part(self, step):
        """How much of the way is gone after so many steps."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "linear":
            return t
        return (1 - math.cos(math.pi * t)) / 2
