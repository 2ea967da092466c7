"""Training: `fit` with progress, checkpoints and a history, and the parts it is made of."""

from .amp import GradScaler
from .callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Schedule,
    TensorBoard,
)
from .faults import NotFiniteError
from .fit import evaluate, fit, metric_of, predict
from .history import History
from .loop import Loop
from .programs import CompiledStep
from .progress import Display, Lines, Notebook, Silent, Terminal
from .report import report
from .step import TrainStep
from .tensorboard import SummaryWriter, read_events

__all__ = [
    "Callback",
    "Checkpoint",
    "CompiledStep",
    "Display",
    "EarlyStopping",
    "GradScaler",
    "History",
    "Lines",
    "Loop",
    "NotFiniteError",
    "Notebook",
    "Schedule",
    "Silent",
    "SummaryWriter",
    "TensorBoard",
    "Terminal",
    "TrainStep",
    "evaluate",
    "fit",
    "metric_of",
    "predict",
    "read_events",
    "report",
]
