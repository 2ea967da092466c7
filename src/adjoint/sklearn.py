"""Networks as scikit-learn estimators: in pipelines, searches, cross-validation, pickles.

Needs scikit-learn (the extra `sklearn`), which nothing else in the package imports.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import copy
import warnings
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from . import nn, optim, train
from .core.generator import default_generator
from .data import DataLoader, TensorDataset
from .errors import ArgumentError
from .functional.face import FUNCTIONS

ACTIVATIONS = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
SOLVERS = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
}


def mlp(sizes, activation: str = "relu", dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of these sizes with an activation between them.

    >>> from adjoint.sklearn import mlp
    >>> mlp((2, 3, 1), "tanh")
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=True)
    )
    """
    chosen = _named(ACTIVATIONS, activation, "activation")
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(int(a), int(b)))
        if i < len(sizes) - 2:
            layers.append(chosen())
            layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def _named(table, given, what):
    if not isinstance(given, str):
        return given
    if given not in table:
        raise ArgumentError(f"{what} must be one of {', '.join(table)}, got {given!r}")
    return table[given]


class _Network(BaseEstimator):
    """Base of the estimators: from arrays to a trained `module_` and back.

    A subclass says which network, which loss and how targets become tensors.
    """

    def fit(self, X, y):
        """Train a network from the beginning; returns the estimator."""
        X, t = self._read(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with _stream_of(seed):
            network = self._network(X.shape[1])
            self.module_ = (
                network.float() if X.dtype == np.float32 else network.double()
            )
            self.history_ = self._train(X, t, seed)
        self.loss_curve_ = list(self.history_["loss"])
        self.n_iter_, self.loss_ = len(self.history_), self.loss_curve_[-1]
        self._warn()
        return self

    def _train(self, X, t, seed):
        (X, t), held = self._split(X, t, seed)
        size = min(200, len(X)) if self.batch_size == "auto" else self.batch_size
        rows = TensorDataset(FUNCTIONS["as_tensor"](X), FUNCTIONS["as_tensor"](t))
        return train.fit(
            self.module_,
            DataLoader(rows, size, shuffle=self.shuffle),
            self._criterion(),
            self._optimizer(),
            self.max_iter,
            validation=held,
            callbacks=[self._stopping()],
            progress="auto" if self.verbose else None,
        )

    def _split(self, X, t, seed):
        if not self.early_stopping:
            return (X, t), None
        same = t if t.dtype.kind == "i" and np.bincount(t).min() > 1 else None
        a, b, c, d = train_test_split(
            X, t, test_size=self.validation_fraction, random_state=seed, stratify=same
        )
        return (a, c), tuple(FUNCTIONS["as_tensor"](x) for x in (b, d))

    def _stopping(self):
        name = "val_loss" if self.early_stopping else "loss"
        return train.EarlyStopping(
            name,
            self.n_iter_no_change,
            min_delta=self.tol,
            restore_best=self.early_stopping,
        )

    def _optimizer(self):
        chosen = _named(SOLVERS, self.solver, "solver")
        options = {"lr": self.learning_rate_init, "weight_decay": self.alpha}
        return chosen(self.module_.parameters(), **options)

    def _warn(self):
        if not self.history_.stopped and not self.early_stopping:
            warnings.warn(
                f"{type(self).__name__}: max_iter={self.max_iter} epochs are over and the "
                "loss was still falling",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _outputs(self, X) -> np.ndarray:
        """The network's outputs for samples."""
        check_is_fitted(self, "module_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        X = X.astype(self._kind, copy=False)
        return train.predict(self.module_, FUNCTIONS["as_tensor"](X)).numpy()


@contextmanager
def _stream_of(seed: int):
    """Random numbers of `seed`; afterwards those of the program go on as before."""
    position = default_generator.position()
    default_generator.manual_seed(seed)
    try:
        yield
    finally:
        default_generator.go_to(position)


class _Classifying(ClassifierMixin, _Network):
    """What classifiers share: classes, probabilities, cross-entropy."""

    def _read(self, X, y):
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self._kind = X.dtype
        self.classes_, t = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        return X, t.astype(np.int64)

    @property
    def _outs(self):
        return len(self.classes_)

    def _criterion(self):
        return nn.CrossEntropyLoss()

    def predict_proba(self, X):
        """The probability of each class, in the order of `classes_`."""
        z = self._outputs(X)
        z = np.exp(z - z.max(1, keepdims=True))
        return z / z.sum(1, keepdims=True)

    def predict(self, X):
        """The most probable class."""
        best = self._outputs(X).argmax(1)
        return self.classes_[best]


class _Regressing(RegressorMixin, _Network):
    """What regressors share: numbers in, numbers out, squared error."""

    def _read(self, X, y):
        X, y = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=True,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._kind, self._flat = X.dtype, y.ndim == 1
        t = y.reshape(len(y), -1).astype(X.dtype)
        self.n_outputs_ = t.shape[1]
        return X, t

    @property
    def _outs(self):
        return self.n_outputs_

    def _criterion(self):
        return nn.MSELoss()

    def predict(self, X):
        """The network's outputs."""
        y = self._outputs(X)
        return y.reshape(-1) if self._flat else y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Mlp:
    """Mixed in where the network is made of sizes."""

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        dropout=0.0,
        solver="adam",
        alpha=1e-4,
        batch_size="auto",
        learning_rate_init=1e-3,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
    ):
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
        self.dropout, self.solver, self.alpha = dropout, solver, alpha
        self.batch_size, self.learning_rate_init = batch_size, learning_rate_init
        self.max_iter, self.shuffle, self.random_state = max_iter, shuffle, random_state
        self.tol, self.verbose, self.early_stopping = tol, verbose, early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change

    def _network(self, inputs):
        sizes = (inputs, *np.atleast_1d(self.hidden_layer_sizes), self._outs)
        return mlp(sizes, self.activation, self.dropout)


class MLPClassifier(_Mlp, _Classifying):
    """A network of linear layers that tells classes apart.

    The arguments are scikit-learn's where both have them. After `fit`: `module_`, the
    network; `history_`, the table of epochs; `classes_`, `loss_curve_`, `n_iter_`.

    >>> from adjoint.sklearn import MLPClassifier
    >>> X, y = np.array([[0.], [1.], [2.], [3.]]), np.array(["a", "a", "b", "b"])
    >>> net = MLPClassifier((8,), learning_rate_init=0.1, max_iter=99, random_state=0)
    >>> net.fit(X, y).predict([[0.2], [2.8]]).tolist()
    ['a', 'b']
    """


class MLPRegressor(_Mlp, _Regressing):
    """A network of linear layers that predicts numbers, one or several a sample.

    The arguments are scikit-learn's where both have them. After `fit`: `module_`, the
    network; `history_`, the table of epochs; `loss_curve_`, `n_iter_`.

    >>> from adjoint.sklearn import MLPRegressor
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> net = MLPRegressor((8,), learning_rate_init=0.1, max_iter=300, random_state=0)
    >>> print(f"{net.fit(X, 3 * X[:, 0]).score(X, 3 * X[:, 0]):.1f}")
    1.0
    """


class _Wrapped:
    """Mixed in where the network is given."""

    def __init__(
        self,
        module,
        *,
        loss=None,
        solver="adam",
        alpha=0.0,
        batch_size="auto",
        learning_rate_init=1e-3,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
    ):
        self.module, self.loss, self.solver, self.alpha = module, loss, solver, alpha
        self.batch_size, self.learning_rate_init = batch_size, learning_rate_init
        self.max_iter, self.shuffle, self.random_state = max_iter, shuffle, random_state
        self.tol, self.verbose, self.early_stopping = tol, verbose, early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change

    def _network(self, inputs):
        """A copy of the module, or what the function makes of (inputs, outputs)."""
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        return self.module(inputs, self._outs)

    def _criterion(self):
        return self.loss or super()._criterion()


class ModuleClassifier(_Wrapped, _Classifying):
    """Any module as a classifier: its outputs are one score a class.

    `module` is a Module, copied before training, or a function (inputs, classes) -> Module.

    >>> from adjoint.sklearn import ModuleClassifier
    >>> X, y = np.array([[0.], [1.], [2.], [3.]]), np.array([0, 0, 1, 1])
    >>> net = ModuleClassifier(nn.Linear, learning_rate_init=0.5, tol=0.01, random_state=0)
    >>> net.fit(X, y).predict(X).tolist()
    [0, 0, 1, 1]
    """


class ModuleRegressor(_Wrapped, _Regressing):
    """Any module as a regressor.

    `module` is a Module, copied before training, or a function (inputs, outputs) -> Module.

    >>> from adjoint.sklearn import ModuleRegressor
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> net = ModuleRegressor(nn.Linear, learning_rate_init=0.1, random_state=0)
    >>> print(f"{net.fit(X, 3 * X[:, 0]).score(X, 3 * X[:, 0]):.2f}")
    1.00
    """


__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "ModuleClassifier",
    "ModuleRegressor",
    "mlp",
]
