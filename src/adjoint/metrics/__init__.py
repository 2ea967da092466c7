"""Metrics that add up over batches: `reset`, `update(y, t)` for each, `compute()`."""

from .classification import (
    AUC,
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
)
from .metric import Mean, Metric
from .regression import MAE, MSE, R2, RMSE

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "ConfusionMatrix",
    "Mean",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
]
