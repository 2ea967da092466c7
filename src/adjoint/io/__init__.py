"""Files: safetensors for weights, and whole checkpoints in the same format; nothing unpickles."""

from ..files import write_atomically
from .checkpoint import load, save
from .safetensors import (
    SafetensorError,
    load_file,
    load_model,
    safe_open,
    save_file,
    save_model,
)
