"""From a method's spec to its module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointlora_cli.adaptation.adapter import Adapter
from pointlora_cli.adaptation.base import Adaptation, Shape
from pointlora_cli.adaptation.bitfit import BitFit
from pointlora_cli.adaptation.dapt import DAPT
from pointlora_cli.adaptation.full import FullFineTuning
from pointlora_cli.adaptation.idpt import IDPT
from pointlora_cli.adaptation.lora import LoRA
from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.adaptation.pointgst import PointGST
from pointlora_cli.adaptation.pointlora import PointLoRA
from pointlora_cli.adaptation.ppt import PPT
from pointlora_cli.adaptation.probes import LinearProbe, MLP3Probe
from pointlora_cli.adaptation.ssf import SSF
from pointlora_cli.adaptation.vpt import VPT
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.method import (
    AdapterMethod,
    AnyMethod,
    BitFitMethod,
    DAPTMethod,
    FullMethod,
    IDPTMethod,
    LinearMethod,
    LoRAMethod,
    MLP3Method,
    PointGSTMethod,
    PointPEFTMethod,
    PPTMethod,
    SSFMethod,
    VPTMethod,
)
from pointlora_cli.specs.pointlora import PointLoRAMethod

METHODS: dict[type[Spec], Callable[[Shape, Any], Adaptation]] = {
    FullMethod: FullFineTuning,
    LinearMethod: LinearProbe,
    MLP3Method: MLP3Probe,
    BitFitMethod: BitFit,
    LoRAMethod: LoRA,
    AdapterMethod: Adapter,
    SSFMethod: SSF,
    VPTMethod: VPT,
    IDPTMethod: IDPT,
    DAPTMethod: DAPT,
    PPTMethod: PPT,
    PointGSTMethod: PointGST,
    PointPEFTMethod: PointPEFT,
    PointLoRAMethod: PointLoRA,
}
"""The module of each method's spec."""


def build_adaptation(method: AnyMethod, shape: Shape) -> Adaptation:
    """Build the method for a backbone."""
    return METHODS[type(method)](shape, method)
