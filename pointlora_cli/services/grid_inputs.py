"""What a run of a grid starts from besides its spec: the files of its data, and its base weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pointlora_cli.datasets.identity import data_identity
from pointlora_cli.errors import PointLoRAError
from pointlora_cli.models.base_weights import base_identity
from pointlora_cli.specs.backbone import BackboneSpec
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.data import AnyData
from pointlora_cli.specs.run import RunSpec

Asked = TypeVar("Asked", bound=Spec)


class Inputs(Spec):
    """The identity of each; None where it is not there, which is for the checks of a run to tell."""

    data: str | None
    base: str | None

    def other_than(self, former: Inputs) -> list[str]:
        """What differs from `former`, in words; what is not there now cannot differ."""
        return [
            word
            for word, now, then in (
                ("data", self.data, former.data),
                ("base weights", self.base, former.base),
            )
            if now not in (None, then)
        ]


class InputsFinder:
    """Looks at files once for all runs that share them."""

    def __init__(self) -> None:
        self._data: dict[AnyData, str | None] = {}
        self._base: dict[BackboneSpec, str | None] = {}

    def find(self, spec: RunSpec) -> Inputs:
        """The inputs of a run, as they are now."""
        return Inputs(
            data=_known(self._data, spec.data, data_identity),
            base=_known(self._base, spec.backbone, base_identity),
        )


def _known(known: dict[Asked, str | None], asked: Asked, identify: Callable[[Asked], str]) -> str | None:
    if asked not in known:
        try:
            known[asked] = identify(asked)
        except (PointLoRAError, OSError):
            known[asked] = None
    return known[asked]
