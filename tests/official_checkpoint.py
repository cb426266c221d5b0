"""A Point-MAE pre-training checkpoint in the official layout, of any size, with random weights."""

from __future__ import annotations

from pathlib import Path

import torch


def write_checkpoint(path: Path, *, seed: int, width: int = 24, depth: int = 1) -> Path:
    """Write what Point-MAE's pre-training code saves: encoder, decoder and the rest, as 1x1 convolutions."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.2

    first, second, third = 8, 16, 32  # encoder_widths
    position = 8  # position_width
    encoder = "module.MAE_encoder."
    weights: dict[str, torch.Tensor] = {"module.mask_token": random(1, 1, width)}

    def layer(name: str, out: int, inputs: int, *, convolution: bool = False) -> None:
        weights[f"{name}.weight"] = random(out, inputs, 1) if convolution else random(out, inputs)
        weights[f"{name}.bias"] = random(out)

    def norm(name: str, channels: int, *, batch: bool = False) -> None:
        weights[f"{name}.weight"] = 1 + random(channels)
        weights[f"{name}.bias"] = random(channels)
        if batch:
            weights[f"{name}.running_mean"] = random(channels)
            weights[f"{name}.running_var"] = 1 + random(channels).abs()
            weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def blocks(name: str, count: int) -> None:
        for index in range(count):
            block = f"{name}.{index}"
            norm(f"{block}.norm1", width)
            weights[f"{block}.attn.qkv.weight"] = random(3 * width, width)
            layer(f"{block}.attn.proj", width, width)
            norm(f"{block}.norm2", width)
            layer(f"{block}.mlp.fc1", 4 * width, width)
            layer(f"{block}.mlp.fc2", width, 4 * width)

    layer(f"{encoder}encoder.first_conv.0", first, 3, convolution=True)
    norm(f"{encoder}encoder.first_conv.1", first, batch=True)
    layer(f"{encoder}encoder.first_conv.3", second, first, convolution=True)
    layer(f"{encoder}encoder.second_conv.0", third, 2 * second, convolution=True)
    norm(f"{encoder}encoder.second_conv.1", third, batch=True)
    layer(f"{encoder}encoder.second_conv.3", width, third, convolution=True)
    layer(f"{encoder}pos_embed.0", position, 3)
    layer(f"{encoder}pos_embed.2", width, position)
    blocks(f"{encoder}blocks.blocks", depth)
    norm(f"{encoder}norm", width)
    layer("module.decoder_pos_embed.0", position, 3)
    layer("module.decoder_pos_embed.2", width, position)
    blocks("module.MAE_decoder.blocks", 1)
    norm("module.MAE_decoder.norm", width)
    layer("module.increase_dim.0", 24, width, convolution=True)
    torch.save({"base_model": weights, "epoch": 300, "best_metrics": {"acc": 0.0}}, path)
    return path
