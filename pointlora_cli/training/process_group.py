"""The processes of a run that torchrun, or `--devices`, has started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist

from pointlora_cli.errors import NetworkError, PointLoRAError, ToldError, UsageError
from pointlora_cli.models.normalization import RowBatchNorm
from pointlora_cli.models.synchronized_norm import (
    SynchronizedBatchNorm1d,
    SynchronizedRowBatchNorm,
    synchronize_batch_norm,
)
from pointlora_cli.training.distribution import Distribution
from pointlora_cli.training.peers import End, Peers
from pointlora_cli.training.place import Place

_COMING = timedelta(minutes=5)  # for all processes to have come
_WAITING = timedelta(hours=2)  # for the slowest to have read its data, or written a checkpoint


@contextmanager
def joined(place: Place, last_word: Callable[[PointLoRAError], None]) -> Iterator[Distribution]:
    """This process among those of its run, until the end of the context.

    Args:
        place: of it.
        last_word: says an error where the process cannot end by itself.

    Raises:
        NetworkError: the others did not come.
        ToldError: this process failed, and the one that leads says so.
        PointLoRAError: what `Distribution.guarded` raises.
    """
    try:
        dist.init_process_group("gloo", rank=place.rank, world_size=place.size, timeout=_COMING)
        distribution = ProcessGroup(place)
        peers = Peers(place, lambda text: distribution.texts(text)[0], last_word)
    except (RuntimeError, ValueError, OSError) as error:
        raise NetworkError(
            f"process {place.rank} (of {place.size}, counted from 0) did not meet the others at {place.address}: "
            f"{(str(error) or type(error).__name__).splitlines()[0][:200]}",
            remedy="See that all of them were started, with the same MASTER_ADDR and MASTER_PORT.",
        ) from error
    distribution.peers = peers
    try:
        with distribution.guarded():
            yield distribution
    except BaseException as error:
        peers.say_end(error)
        if peers.is_heard and isinstance(error, PointLoRAError | KeyboardInterrupt):
            raise ToldError(End.of(place.rank, error).exit_code) from error
        raise
    peers.say_end(None)
    dist.destroy_process_group()


def require_gpus(processes: int, name: str) -> None:
    """Raise unless each of so many processes of one machine can have a GPU of its own.

    Raises:
        UsageError: there are too few, or `name` (`train.device`) is one of them.
    """
    count = torch.cuda.device_count()
    if name.startswith("cuda:"):
        raise UsageError(
            f"train.device is '{name}', and {processes} processes cannot share one device",
            remedy="Use train.device=cuda.",
        )
    if processes > count:
        raise UsageError(
            f"{processes} processes need as many GPUs, and PyTorch sees {count}",
            remedy=f"Use --devices {count}, or --device cpu." if count else "Use --device cpu.",
        )


class ProcessGroup(Distribution):
    """One process of several."""

    def __init__(self, place: Place) -> None:
        self.rank = place.rank
        self.size = place.size
        self._place = place
        self._group = _whole(None)
        self.peers: Peers | None = None  # those who end are told of
        self._moved: tuple[nn.Module, list[nn.Parameter], list[Tensor]] | None = None  # by training

    def take_device(self, name: str) -> None:
        """Take the GPU of the local rank, where `name` (`train.device`) means one."""
        backend = "gloo"
        if name != "cpu" and (name != "auto" or torch.cuda.is_available()):
            require_gpus(self._place.local_size, name)
            torch.cuda.set_device(self._place.local_rank)
            backend = "cpu:gloo,cuda:nccl"
        self._group = _whole(dist.new_group(backend=backend, timeout=_WAITING))

    def synchronize_batch_norm(self, model: nn.Module) -> None:
        """Let batch statistics be those of all processes."""
        synchronize_batch_norm(model, self._group)

    def sum_gradients(self, model: nn.Module, tally: Tensor) -> Tensor:
        """Sum gradients and tallies, and average the running statistics of batch norms, in one message."""
        if self._moved is None or self._moved[0] is not model:
            self._moved = model, _trained_parameters(model), _running_statistics(model)
        _, parameters, statistics = self._moved
        trained = [parameter for parameter in parameters if parameter.grad is not None]
        values = [*(_gradient(parameter) for parameter in trained), *statistics, tally]
        summed = [torch.empty(0)] * len(values)
        for dtype in dict.fromkeys(value.dtype for value in values):
            places = [index for index, value in enumerate(values) if value.dtype == dtype]
            flat = torch.cat([values[index].flatten() for index in places])
            dist.all_reduce(flat, group=self._group)
            pieces = torch.split(flat, [values[index].numel() for index in places])
            for index, piece in zip(places, pieces, strict=True):
                summed[index] = piece.view(values[index].shape)
        for parameter, total in zip(trained, summed, strict=False):
            parameter.grad = total
        for statistic, total in zip(statistics, summed[len(trained) :], strict=False):
            statistic.copy_(total / self.size)
        return summed[-1]

    def equalize(self, model: nn.Module) -> None:
        """Give every process the weights and buffers of the one that leads."""
        for value in (*model.parameters(), *model.buffers()):
            dist.broadcast(value.data, 0, group=self._group)

    def gather(self, values: Tensor) -> Tensor:
        """The rows (n, …) of all processes, in their order, on the CPU; n may differ."""
        values = values.cpu().contiguous()
        counts = self.stack(torch.tensor(len(values))).tolist()
        padded = values.new_zeros(max(counts), *values.shape[1:])
        padded[: len(values)] = values
        of_all = self.stack(padded)
        return torch.cat([rows[:count] for rows, count in zip(of_all, counts, strict=True)])

    def stack(self, values: Tensor) -> Tensor:
        """A tensor of the same shape from each process, stacked in their order, on the CPU."""
        values = values.cpu().contiguous()
        of_all = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(of_all, values, group=self._group)
        return torch.stack(of_all)

    def texts(self, text: str) -> list[str]:
        """A text from each process."""
        letters = torch.frombuffer(bytearray(text.encode() + b"\n"), dtype=torch.uint8)
        gathered = bytes(self.gather(letters).tolist()).decode()
        return gathered.removesuffix("\n").split("\n")

    def agreed(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any process raises it."""
        return self.stack(torch.tensor(flags, dtype=torch.uint8)).any(dim=0).tolist()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Tell the failure of another process as what it is."""
        try:
            yield
        except RuntimeError as error:  # of a message that cannot arrive, wherever it was sent
            failure = None if self.peers is None else self.peers.failure()
            if failure is None:
                raise
            raise failure from error

    def again(self, arguments: str) -> str:
        """The command that starts as many processes again."""
        if self._place.local_size == self.size:
            return f"pointlora {arguments} --devices {self.size}"
        return f"torchrun … -m pointlora_cli {arguments} (on {self.size} processes)"


def _whole(group: dist.ProcessGroup | None) -> dist.ProcessGroup:
    """A group of all processes; None: the one that they met in."""
    found = group or dist.group.WORLD
    assert found is not None  # they have met
    return found


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None  # those without are left out
    return parameter.grad


def _trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """Those of batch norms that each process moves by its own clouds."""
    found: list[Tensor] = []
    for module in model.modules():
        is_synchronized = isinstance(module, SynchronizedRowBatchNorm | SynchronizedBatchNorm1d)
        if isinstance(module, RowBatchNorm | nn.BatchNorm1d) and not is_synchronized:
            found += [value for value in module.buffers() if value.is_floating_point()]
    return found
