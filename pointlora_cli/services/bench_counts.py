"""What a step asks of the machine: its arithmetic, and the bytes that its operations read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


class StepCounts(NamedTuple):
    """Of one step."""

    flops: int  # of matrix products and attention; a multiplication and an addition are two
    traffic: int  # bytes read and written, if each operation fetches what it reads and keeps what it gives


def count_step(step: Callable[[], object]) -> StepCounts:
    """Run a step once and count."""
    flops, traffic = FlopCounterMode(display=False, custom_mapping=_attention_on_cpu()), _Traffic()
    with flops, traffic:
        step()
    return StepCounts(flops.get_total_flops(), traffic.bytes)


def _attention_on_cpu() -> dict[Any, Callable[..., int]]:
    """The attention of the processor, which PyTorch's own table leaves out; arguments come as shapes."""

    def product(query: Sequence[int], key: Sequence[int]) -> int:
        batch, heads, length, width = query
        return 2 * batch * heads * length * key[2] * width

    def forward(query: Any, key: Any, *_: Any, **__: Any) -> int:
        return 2 * product(query, key)

    def backward(_gradient: Any, query: Any, key: Any, *_: Any, **__: Any) -> int:
        return 5 * product(query, key)  # one of them repeats what the forward pass did not keep

    return {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up the bytes of what operations read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count it."""
        result = func(*args, **(kwargs or {}))
        is_view = any(
            returned.alias_info is not None and not returned.alias_info.is_write
            for returned in func._schema.returns
        )
        if not is_view:
            self.bytes += sum(map(_size, _tensors((args, (kwargs or {}).values(), result))))
        return result


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in nested sequences."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Iterable) and not isinstance(values, str):
        for value in values:
            yield from _tensors(value)
