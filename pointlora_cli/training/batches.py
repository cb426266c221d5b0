"""How the clouds of an epoch are divided: into updates, these into batches, and these among processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pointlora_cli.errors import DataError
from pointlora_cli.specs.training import TrainSpec
from pointlora_cli.training.distribution import Distribution

_FEWEST = 2  # clouds of a process in a step: batch norm cannot take a single one


class Batch(NamedTuple):
    """What `Task.step` takes."""

    clouds: Tensor  # (b,) of all processes
    mine: slice  # those of this process
    weight: float  # of their mean loss in that of the update


def epoch_batches(chosen: Tensor, updates: list[list[int]], distribution: Distribution) -> list[list[Batch]]:
    """The batches of each update of an epoch, from its order of clouds (n,) and from `epoch_updates`."""
    whole = torch.split(chosen[: sum(map(sum, updates))], [sum(sizes) for sizes in updates])
    return [
        [_batch(clouds, len(update), distribution) for clouds in torch.split(update, sizes)]
        for update, sizes in zip(whole, updates, strict=True)
    ]


def _batch(clouds: Tensor, of: int, distribution: Distribution) -> Batch:
    mine = distribution.share(len(clouds))
    return Batch(clouds, mine, (mine.stop - mine.start) / of)


def epoch_updates(count: int, spec: TrainSpec, processes: int = 1) -> list[list[int]]:
    """The batches of each update of an epoch: sizes over all processes, in the order in which clouds come.

    An update has the clouds of `spec.accumulate` batches of `spec.batch_size` in each process, and is the same
    whichever of the three its size comes from, batch norm apart. The last one of an epoch may be smaller, where
    `spec.drop_last` does not leave it out; a set smaller than one update is one update, whole. Its batches are
    then as equal as can be. A rest that would leave a process a single cloud, or none, is left out.

    Args:
        count: training clouds.
        spec: of the loop.
        processes: how many share each batch, each with a contiguous share that is the largest by no more than one.

    Raises:
        DataError: there are too few clouds for so many processes.
    """
    batch, fewest = spec.batch_size * processes, _FEWEST * processes
    sizes = batch_sizes(count, batch * spec.accumulate, drop_last=spec.drop_last, fewest=fewest)
    if not sizes:
        raise DataError(
            f"{count} training clouds are too few for {processes} processes: each needs at least {_FEWEST}",
            remedy="Use fewer devices, or add clouds.",
        )
    return [_pieces(size, batch, fewest) for size in sizes]


def batch_sizes(count: int, batch_size: int, *, drop_last: bool, fewest: int = _FEWEST) -> list[int]:
    """Sizes of an epoch's batches; none of fewer than `fewest` clouds.

    A set smaller than one batch is one batch, whole.
    """
    sizes = [batch_size] * (count // batch_size)
    rest = count % batch_size
    if rest >= fewest and (not drop_last or not sizes):
        sizes.append(rest)
    return sizes


def _pieces(size: int, largest: int, fewest: int) -> list[int]:
    """`size` in equal pieces, or nearly so: of at most `largest`, unless one would have less than `fewest`."""
    number = max(1, min(-(-size // largest), size // fewest))
    return [size * (index + 1) // number - size * index // number for index in range(number)]
