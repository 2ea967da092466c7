"""Data: datasets, samplers, the loader that makes batches of them, files and toy problems."""

from .arrays import from_idx, from_npz, read_idx, read_npz, write_idx
from .collate import default_collate, default_convert
from .dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .digits import load_digits
from .loader import DataLoader
from .sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .tables import Table, from_csv, from_frame
from .toys import blobs, circles, line, moons, sine, spirals, xor
from .worker import WorkerError, WorkerInfo, get_worker_info
