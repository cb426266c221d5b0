"""The processes that train one model together: what each takes, and what they tell each other.

Every process has the whole model and goes through the same order of clouds. Of each batch it takes a contiguous
share; gradients are summed before an update, so that all of them make the same one. There is no wrapper around
the model, as DistributedDataParallel is: what trains is a few per cent of the weights, so one flat all-reduce
after the backward pass costs next to nothing, and the same message carries the sums of the step and whether a
process was told to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class Distribution:
    """A process among those of its run; this one is alone, and has nobody to talk to.

    Each method is called by all processes, in the same order.
    """

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes, shows and tells."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """The contiguous share that this process takes of `count` clouds: no smaller than another's by two."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def rounds(self, count: int, batch_size: int, pause: Callable[[], None]) -> Iterator[slice]:
        """This process's share of `count` clouds, `batch_size` at a time; `pause` is called before each time.

        Every process pauses as often as every other, so `pause` may be where they meet.
        """
        mine = self.share(count)
        longest = -(-count // self.size)
        for start in range(mine.start, mine.start + longest, batch_size):
            pause()
            if start < mine.stop:
                yield slice(start, min(start + batch_size, mine.stop))

    def take_device(self, name: str) -> None:
        """Take the device that is this process's own, where `name` (`train.device`) means a GPU.

        Raises:
            UsageError: there are fewer GPUs than processes on this machine, or `name` is one of them.
        """

    def synchronize_batch_norm(self, model: nn.Module) -> None:
        """Let batch statistics be those of all processes."""

    def sum_gradients(self, model: nn.Module, tally: Tensor) -> Tensor:
        """Sum the gradients of what trains over all processes; the sum of their tallies (n,) float32.

        The running statistics of batch norms become the mean over the processes, so that these always agree.
        """
        return tally

    def equalize(self, model: nn.Module) -> None:
        """Give every process the weights and buffers of the one that leads."""

    def gather(self, values: Tensor) -> Tensor:
        """The rows (n, …) of all processes, in their order, on the CPU; n may differ."""
        return values.cpu()

    def stack(self, values: Tensor) -> Tensor:
        """A tensor of the same shape from each process, stacked in their order, on the CPU."""
        return values.cpu()[None]

    def texts(self, text: str) -> list[str]:
        """A text from each process."""
        return [text]

    def agreed(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any process raises it."""
        return list(flags)

    def guarded(self) -> AbstractContextManager[None]:
        """Tell the failure of another process as what it is.

        Raises:
            LostProcessError: a process ended without a word.
            ToldError: another process failed, and what failed is told there.
            PointLoRAError: the failure of another process, which is told here.
        """
        return nullcontext()

    def again(self, arguments: str) -> str:
        """The command that starts as many processes again: `pointlora` and `arguments`."""
        return f"pointlora {arguments}"


ALONE = Distribution()
"""For a run of one process."""
