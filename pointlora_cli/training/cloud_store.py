"""Where training clouds lie, and how a step gets its own: from the device, or from the host, one step ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pointlora_cli.specs.training import Residence

_SHARE = 0.5  # of a device's free memory that clouds may take


class Taken(NamedTuple):
    """Clouds on the device, those of a step among them."""

    rows: tuple[Tensor, ...]  # (R, ...) each, of m clouds one after the other
    offsets: Tensor  # (m + 1,) int64: cloud i of these is rows offsets[i] to offsets[i + 1]
    at: Tensor  # (b,) int64: which of the m clouds were asked for, in this order
    chosen: Tensor  # (b,) int64: their numbers among all clouds


class CloudStore:
    """Holds clouds of any sizes; a step gets the same from it wherever they lie.

    On the host, the clouds of a step are gathered in pinned memory and sent without waiting, on a stream of their
    own. Those of the next step, once it is said which they are, are on their way while this one is computed.
    """

    def __init__(
        self, rows: Sequence[Tensor], offsets: Tensor, device: torch.device, residence: Residence
    ) -> None:
        """Put clouds where they shall lie.

        Args:
            rows: (R, ...) each, on the host: of the points of all clouds, one cloud after the other.
            offsets: (n + 1,) int64 on the host: cloud i is rows offsets[i] to offsets[i + 1].
            device: where steps are computed.
            residence: where the clouds lie; auto: on the device, if they take at most half of its free memory.
        """
        self._device = device
        self.is_on_host = residence == "host" or (residence == "auto" and not _fits(rows, device))
        self._offsets = offsets
        self._rows = tuple(rows)
        self._stream: torch.cuda.Stream | None = None
        if self.is_on_host and device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._next: tuple[Tensor, Taken] | None = None
        if not self.is_on_host:
            self._rows = tuple(one.to(device) for one in rows)
            self._offsets = offsets.to(device)

    @property
    def numbers_on(self) -> torch.device:
        """Where the numbers of chosen clouds should be, so that nobody waits for them."""
        return torch.device("cpu") if self.is_on_host else self._device

    def expect(self, chosen: Tensor) -> None:
        """Say which clouds (b,) the next step takes; where they lie on the host, they are sent."""
        if self.is_on_host:
            chosen = chosen.cpu()
            self._next = chosen, self._sent(chosen)

    def take(self, chosen: Tensor) -> Taken:
        """The clouds `chosen` (b,)."""
        if not self.is_on_host:
            chosen = chosen.to(self._device)
            return Taken(self._rows, self._offsets, chosen, chosen)
        chosen = chosen.cpu()
        expected, self._next = self._next, None
        if expected is None or not torch.equal(expected[0], chosen):
            return self._arrived(self._sent(chosen))
        return self._arrived(expected[1])

    def _sent(self, chosen: Tensor) -> Taken:
        """The clouds, gathered on the host and on their way to the device."""
        first, last = self._offsets[chosen], self._offsets[chosen + 1]
        offsets = torch.nn.functional.pad((last - first).cumsum(0), (1, 0))
        bounds = list(zip(first.tolist(), last.tolist(), strict=True))
        with torch.cuda.stream(self._stream):
            return Taken(
                tuple(self._send([one[start:stop] for start, stop in bounds]) for one in self._rows),
                self._send([offsets]),
                torch.arange(len(chosen), device=self._device),
                self._send([chosen]),
            )

    def _send(self, pieces: list[Tensor]) -> Tensor:
        """Pieces of the host's memory, one behind the other, on their way to the device."""
        size = sum(map(len, pieces))
        pinned = self._stream is not None
        into = torch.empty(size, *pieces[0].shape[1:], dtype=pieces[0].dtype, pin_memory=pinned)
        return torch.cat(pieces, out=into).to(self._device, non_blocking=True)

    def _arrived(self, taken: Taken) -> Taken:
        """The same, once whatever is computed next waits for them."""
        if self._stream is not None:
            here = torch.cuda.current_stream(self._device)
            here.wait_stream(self._stream)
            for tensor in (*taken.rows, taken.offsets, taken.at, taken.chosen):
                tensor.record_stream(here)
        return taken


def _fits(rows: Sequence[Tensor], device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return sum(one.numel() * one.element_size() for one in rows) <= _SHARE * free
