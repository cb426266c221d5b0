"""The bank of Point-PEFT: what its prior knows of each training cloud, made once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.adaptation.prior import Prior
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.datasets.compact import Key, load_or_build
from pointlora_cli.datasets.progress import DataProgress
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import weights_digest
from pointlora_cli.models.transformer import Block
from pointlora_cli.specs.data import AnyData
from pointlora_cli.training.devices import memory_guard
from pointlora_cli.training.events import Listener, Notice

Floats = NDArray[np.float32]

_BATCH = 32
_VERSION = 1
_WHAT = "making the bank of prior features"


def fill_bank(
    adaptation: PointPEFT, points: Floats, data: AnyData, device: torch.device, listen: Listener
) -> None:
    """Give the adaptation, whose base is loaded, the bank of the training clouds (n, S, 3).

    Clouds that are stored with more points than the model takes are thinned as test clouds are.

    Raises:
        DataError: there are fewer clouds than a prompt takes from the bank.
        UsageError: there is too little memory.
    """
    prior = adaptation.prior
    assert prior is not None  # the base was loaded
    if len(points) < adaptation.nearest:
        raise DataError(
            f"method point-peft takes {adaptation.nearest} features from the bank of training clouds, and there "
            f"are {len(points)}",
            remedy=f"Use fewer prompt tokens (--set method.tokens={max(3, len(points) + 2)}), or more clouds.",
        )

    def build() -> Mapping[str, NDArray[Any]]:
        with memory_guard("Run on the CPU with --device cpu, or free memory."):
            thinned = points
            if points.shape[1] != data.points:
                thinned = thin(points, data.points, skip_near_origin=data.skips_near_origin)
            return {"features": _features(prior, thinned, device, listen)}

    arrays, notices = load_or_build(
        current_settings().home / "converted", "prior-bank", _key(prior, points, data, device), build
    )
    for notice in notices:
        listen(Notice(notice))
    adaptation.fill_bank(torch.from_numpy(arrays["features"]))


def _key(prior: Prior, points: Floats, data: AnyData, device: torch.device) -> Key:
    """Also what only changes the rounding: a run must not depend on where another one was."""
    weights = prior.backbone.state_dict()
    return {
        "version": _VERSION,
        "prior": weights_digest(weights, weights),
        "clouds": hashlib.sha256(np.ascontiguousarray(points).data).hexdigest(),
        "shape": str(points.shape),
        "points": data.points,
        "skips_near_origin": data.skips_near_origin,
        "centers": prior.scale.centers,
        "neighbors": prior.scale.neighbors,
        "skip_near_origin": prior.backbone.skip_near_origin,
        "heads": cast("Block", prior.backbone.blocks[0]).attn.heads,
        "device": device.type,
        "torch": str(torch.__version__),
    }


def _features(prior: Prior, points: Floats, device: torch.device, listen: Listener) -> Floats:
    found = []
    for start in range(0, len(points), _BATCH):
        batch = torch.from_numpy(points[start : start + _BATCH]).to(device)
        found.append(prior(batch).float().cpu())
        listen(DataProgress(_WHAT, min(start + _BATCH, len(points)), len(points)))
    return torch.cat(found).numpy()
