"""Fetching: from indices (or the next turn of a stream) to a collated batch.

A fetcher is what runs in a worker, so it holds the dataset and nothing of the loader.
"""

from __future__ import annotations

from itertools import islice

from .collate import default_collate
from .dataset import IterableDataset, batch_of, items_of
from .sampler import as_index, as_list


class Recipe:
    """How batches are made: dataset, batch size, collate function."""

    def __init__(self, dataset, batch_size, batched: bool, drop_last: bool, collate):
        self.dataset, self.batch_size, self.batched = dataset, batch_size, batched
        self.drop_last, self.collate = drop_last, collate

    def start(self):
        """The fetcher of one epoch."""
        stream = isinstance(self.dataset, IterableDataset)
        return Stream(self) if stream else Items(self)


class Items:
    """Fetches from a dataset with items by number."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def __call__(self, indices):
        """The batch of these indices, or the item where batches are not made."""
        try:
            return self._made(indices)
        except StopIteration as error:  # would pass for the end of the epoch
            raise RuntimeError("the dataset raised StopIteration") from error

    def _made(self, indices):
        r = self.recipe
        if not r.batched:
            return r.collate(r.dataset[indices])
        if r.collate is default_collate:
            index = as_index(indices)
            batch = NotImplemented if index is None else batch_of(r.dataset, index)
            if batch is not NotImplemented:
                return batch
        return r.collate(items_of(r.dataset, as_list(indices)))


class Stream:
    """Fetches from a stream; raises StopIteration, again and again, at its end."""

    def __init__(self, recipe: Recipe):
        self.recipe, self.items = recipe, iter(recipe.dataset)

    def __call__(self, _):
        """The next batch of the stream."""
        r = self.recipe
        if not r.batched:
            return r.collate(next(self.items))
        samples = list(islice(self.items, r.batch_size))
        if not samples or (r.drop_last and len(samples) < r.batch_size):
            raise StopIteration
        return r.collate(samples)
