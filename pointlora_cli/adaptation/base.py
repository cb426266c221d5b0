"""The one interface between a backbone and a method.

A backbone knows no method by name. It calls the attached `Adaptation` at a few places, in the order
in which the methods stand below; the base class does nothing at any of them. A method overrides what
it needs, lists what trains, and gives its own regularisation loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from pointlora_cli.models.tokens import Patches, Scale, TokenSequence
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.method import AnyMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.backbone import Backbone
    from pointlora_cli.models.initialization import WeightSource

HeadName = Literal["mlp3", "mlp3-gelu", "mlp2", "linear"]
HeadStart = Literal["uniform", "normal"]
"""How the head's linear layers start: as PyTorch's default, or by the backbone's generic rule."""
Trained = Iterable[nn.Module | nn.Parameter]


class Shape(NamedTuple):
    """What a method must know of the backbone it is made for."""

    widths: tuple[int, ...]  # token channels of each block
    queries: int  # tokens that stand for the whole cloud
    centers: int  # patches of a cloud
    drop_paths: tuple[float, ...] = ()  # rate of each block

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(self.widths)

    @property
    def width(self) -> int:
        """Channels of the tokens that leave the last block."""
        return self.widths[-1]


class Folded(NamedTuple):
    """What became part of the backbone's weights, and what is left of the method."""

    terms: str  # folded, in words
    left: AnyMethod  # the method without them
    kept: tuple[str, ...]  # what could not be folded, and why


class Adaptation(nn.Module, ABC):
    """The base of every method. It must say what trains; whatever else it leaves, stays as it is."""

    head: ClassVar[HeadName | None] = "mlp3"  # None: the backbone's own
    head_start: ClassVar[HeadStart] = "uniform"
    drops_attention: ClassVar[bool] = True  # whether drop path also acts on the attention branch
    unfolded: ClassVar[str] = "adds no linear terms to the backbone's projections"
    """Why `fold` gives None, where it does; of a method."""

    def __init__(self, shape: Shape, method: Spec) -> None:
        super().__init__()

    def initialize(self, source: WeightSource) -> None:
        """Set the method's own weights, each from its name and the run's seed."""

    def start_from(self, backbone: Backbone) -> None:
        """Take what is needed of a backbone that holds its base weights, before training changes them."""

    def resize(self, sizes: Mapping[str, tuple[int, ...]]) -> None:
        """Bring own buffers whose size the training data decides to those of a trained model, by its names."""

    @abstractmethod
    def trained(self, model: AdaptedModel) -> Trained:
        """Every module and parameter of `model` that trains; all others are frozen."""

    def undecayed(self) -> Iterable[nn.Parameter]:
        """Own parameters of more than one dimension that weight decay must leave alone."""
        return ()

    def official_names(self, depth: int) -> dict[str, str]:
        """Own names -> official names, and backbone names that the official method renames."""
        return {}

    def official_aliases(self) -> dict[str, str]:
        """Second -> first official name of what the official model registers twice; the second's value counts."""
        return {}

    def fold(self, model: AdaptedModel) -> Folded | None:
        """Add what is linear to the weights of the backbone, in place; None where nothing is.

        The method itself stays as it is: `model` is of use only with the method that is left.
        """
        return None

    def scales(self, own: Scale) -> Sequence[Scale]:
        """The groupings that `enter` wants, where the backbone's own is `own`."""
        return ()

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Tokens are about to enter the transformer; `patches` holds the scales asked for, in order."""
        return sequence

    def before_block(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """What goes to a block, its positions not yet added."""
        return sequence

    def block_input(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """The input of a block, its positions already added."""
        return sequence

    def normalized(self, layer: int, place: Literal["norm1", "norm2"], tokens: Tensor) -> Tensor:
        """What a norm of a block gives, (B, T, C)."""
        return tokens

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """A linear projection of a block: qkv, proj, fc1 or fc2; (B, T, I) -> (B, T, O)."""
        return outputs

    def feed_forward(self, layer: int, sequence: TokenSequence, inputs: Tensor, outputs: Tensor) -> Tensor:
        """The feed-forward network of a block, from its normalised input, before drop path; (B, T, C).

        `sequence` holds the tokens after attention; its notes are those that `block_output` sees.
        """
        return outputs

    def join(self, layer: int, sequence: TokenSequence, branch: Tensor) -> Tensor:
        """The sum (B, T, C) of the tokens after attention and the feed-forward branch, drop path applied."""
        return sequence.tokens + branch

    def block_output(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """The output of a block."""
        return sequence

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """The tokens after the last norm."""
        return sequence

    def pool(self, sequence: TokenSequence, feature: Tensor) -> Tensor:
        """The head's input (B, F); `feature` is the backbone's own."""
        return feature

    def feature_width(self, width: int, own: int) -> int:
        """F of `pool`, for tokens of `width` channels and a backbone's own feature of `own`."""
        return own

    def regularization(self, sequence: TokenSequence) -> Tensor | None:
        """The method's own loss term (a scalar), added to the task's."""
        return None
