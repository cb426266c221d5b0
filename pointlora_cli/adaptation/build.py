"""From a method's spec to its module."""

from __future__ import annotations

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.adaptation.full import FullFineTuning
from pointlora_cli.adaptation.lora import LoRA
from pointlora_cli.adaptation.pointlora import PointLoRA
from pointlora_cli.adaptation.probes import LinearProbe, MLP3Probe
from pointlora_cli.specs.method import (
    AnyMethod,
    FullMethod,
    LinearMethod,
    LoRAMethod,
    MLP3Method,
    PointLoRAMethod,
)


def build_adaptation(method: AnyMethod, *, depth: int, width: int) -> Adaptation:
    """Build the method for a backbone of `depth` blocks and tokens of `width` channels."""
    match method:
        case FullMethod():
            return FullFineTuning()
        case LinearMethod():
            return LinearProbe()
        case MLP3Method():
            return MLP3Probe()
        case LoRAMethod():
            return LoRA(depth, width, method.sites, method.rank, method.alpha)
        case PointLoRAMethod():
            return PointLoRA(depth, width, method)
