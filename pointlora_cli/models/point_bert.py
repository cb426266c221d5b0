"""Point-BERT (CVPR 2022) as it is fine-tuned."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from pointlora_cli.adaptation.base import HeadName
from pointlora_cli.models import official_layouts
from pointlora_cli.models.official import OfficialNames
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.specs.backbone import PointBERTSpec, TokenizerSpec


class PointBERT(PointMAE):
    """Point-MAE's network with a narrower patch encoder, and a linear bridge to the transformer."""

    official: ClassVar[OfficialNames] = official_layouts.POINT_BERT
    head: ClassVar[HeadName] = "mlp2"

    def __init__(self, spec: PointBERTSpec, tokenizer: TokenizerSpec) -> None:
        super().__init__(spec, tokenizer)
        self.patch_encoder = PatchEncoder(spec.patch_width, spec.encoder_widths)
        self.bridge = nn.Linear(spec.patch_width, spec.width)

    def _bridged(self, tokens: Tensor) -> Tensor:
        bridged: Tensor = self.bridge(tokens)
        return bridged
