"""Training: `fit` with progress, checkpoints and a history, and the parts it is made of."""

from .amp import GradScaler
from .callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Schedule,
    TensorBoard,
)
from .evaluation import evaluate, predict
from .faults import NotFiniteError
from .fit import fit
from .history import History
from .loop import Loop
from .measures import metric_of
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
