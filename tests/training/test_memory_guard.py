"""Running out of memory is one line with what to do; nothing else is taken for it."""

import numpy as np
import pytest
import torch

from pointlora_cli.errors import UsageError
from pointlora_cli.training.devices import memory_guard

FAR_TOO_MUCH = 2**52


def full_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")


@pytest.mark.parametrize("take", [lambda: torch.zeros(FAR_TOO_MUCH), lambda: np.ones(FAR_TOO_MUCH), full_gpu])
def test_too_little_memory_is_told_with_the_remedy(take):
    with pytest.raises(UsageError, match=r"^out of memory: .+$") as caught, memory_guard("Use less."):
        take()
    assert caught.value.remedy == "Use less."
    assert "\n" not in caught.value.message


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="same device"), memory_guard("Use less."):
        raise RuntimeError("expected all tensors on the same device")
