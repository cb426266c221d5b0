"""What every backbone is to the rest of the package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, HeadName, Shape
from pointlora_cli.models.official import OfficialNames
from pointlora_cli.models.tokens import TokenSequence


class Backbone(nn.Module, ABC):
    """Clouds (B, N, 3) -> normalised tokens, offering its places to an adaptation."""

    official: ClassVar[OfficialNames]
    head: ClassVar[HeadName] = "mlp3"  # of full fine-tuning
    width: int
    """Channels of the tokens that leave it."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What methods must know."""

    @property
    def class_tokens(self) -> list[nn.Parameter]:
        """What trains with a probe: the class token and its position, where there are any."""
        return []

    @property
    def undecayed(self) -> list[nn.Parameter]:
        """Parameters of more than one dimension without weight decay."""
        return []

    @property
    @abstractmethod
    def feature_width(self) -> int:
        """Channels of `pool`."""

    @abstractmethod
    def linear(self, layer: int, site: str) -> nn.Linear:
        """A projection of a block: qkv, proj, fc1 or fc2."""

    @abstractmethod
    def pool(self, sequence: TokenSequence) -> Tensor:
        """The head's input (B, F), of what `forward` gives."""

    @abstractmethod
    def forward(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """Encode clouds (B, N, 3).

        Raises:
            ValueError: a grouping asks for more centers or neighbors than there are points.
        """
