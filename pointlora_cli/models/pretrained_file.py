"""Writing the checkpoint of a pre-training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from pointlora_cli.files import written_atomically
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder


def write_pretrained(
    path: Path,
    model: MaskedAutoencoder,
    *,
    epoch: int,
    provenance: Mapping[str, object],
    encoder_only: bool = False,
) -> None:
    """Write a model's weights by their official names; whoever reads a published checkpoint reads these.

    Args:
        path: `.safetensors`, with the provenance as JSON in its metadata, or else a PyTorch file with the entries of
            the official code: `base_model`, `epoch`, `metrics`, `best_metrics`, and the provenance beside them.
        model: that was trained.
        epoch: the last that it was trained for, from 0.
        provenance: how the weights came to be, in JSON's own types.
        encoder_only: leave out the decoder, which fine-tuning does not use.

    Raises:
        OSError: the folder is missing, not writable, or full.
    """
    weights: dict[str, Tensor] = {
        name: value.cpu().contiguous()
        for name, value in model.official_state().items()
        if not encoder_only or name.startswith("MAE_encoder.")
    }
    with written_atomically(path) as file:
        if path.suffix == ".safetensors":
            # Under one key: safetensors writes several in another order each time.
            file.write(save(weights, metadata={"provenance": json.dumps({**provenance, "epoch": epoch})}))
        else:
            content = {"base_model": weights, "epoch": epoch, "metrics": {}, "best_metrics": {}}
            torch.save({**content, "provenance": dict(provenance)}, file)
