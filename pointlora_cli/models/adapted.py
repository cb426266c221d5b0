"""What a classifier and a segmenter have in common: a backbone, an adaptation and a head."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.transformer import Block
from pointlora_cli.specs.needs import Task


class AdaptedModel(nn.Module):
    """A backbone, the adaptation attached to it, and a head of the task."""

    task: ClassVar[Task]

    def __init__(self, backbone: Backbone, adaptation: Adaptation, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.adaptation = adaptation
        self.head = head

    def freeze(self) -> None:
        """Let exactly those parameters train that the adaptation lists."""
        self.requires_grad_(False)
        for part in self.adaptation.trained(self):
            part.requires_grad_(True)

    def recompute_activations(self) -> None:
        """Keep none within patch encoders and blocks while training; the backward pass computes them again."""
        for module in self.modules():
            if isinstance(module, PatchEncoder | Block):
                module.recompute = True

    def undecayed(self) -> set[nn.Parameter]:
        """Parameters of more than one dimension without weight decay: learned tokens (not their positions)."""
        return {*self.backbone.undecayed, *self.adaptation.undecayed()}
