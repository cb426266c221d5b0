"""Pre-train a backbone on clouds without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.models.counting import ParameterCounts
from pointlora_cli.services.finetune import finetune, resume
from pointlora_cli.services.preparation import Prepared
from pointlora_cli.services.products import OFFICIAL, product_of
from pointlora_cli.services.reconstructions import write_reconstructions
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import Listener
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics


@dataclass(frozen=True)
class PretrainResult:
    """A finished pre-training."""

    run: Path
    weights: Path  # of the backbone, to fine-tune
    weights_bytes: int
    official: Path  # of the whole network, in the official layout
    spec: RunSpec
    parameters: ParameterCounts
    kept_epoch: int  # from 1
    test: ReconstructionMetrics  # of the kept weights, on the test clouds
    seconds: float  # training, evaluation included
    device: str
    precision: str
    reconstructions: tuple[Path, ...]  # files for a look, the picture last


def pretrain(
    spec: RunSpec,
    listen: Listener,
    *,
    resumed: Path | None = None,
    reconstructions: Path | None = None,
    begun: Callable[[Path], None] = lambda run: None,
    distribution: Distribution = ALONE,
) -> PretrainResult:
    """Run a spec of the task pretraining, or go on with a run of it.

    Args:
        spec: of the run.
        listen: told what happens.
        resumed: the run directory to go on with.
        reconstructions: a folder for some test clouds and what the kept weights predict of them; None: none.
        begun: called with the directory of a new run once it is there.
        distribution: this process, which leads, among those of the run; the others `take_part`.

    Raises:
        PointLoRAError: as `finetune` and `resume`.
    """
    written: list[Path] = []

    def finish(prepared: Prepared, run: RunDirectory) -> None:
        if reconstructions is not None:
            product_of(spec.task).restore(prepared, run)
            written.extend(write_reconstructions(prepared, reconstructions))

    if resumed is None:
        result = finetune(spec, listen, begun, distribution, finish)
    else:
        result = resume(resumed, listen, asked=spec, distribution=distribution, finish=finish)
    assert isinstance(result.test, ReconstructionMetrics)  # as the task gives
    return PretrainResult(
        run=result.run,
        weights=result.adapter,
        weights_bytes=result.adapter_bytes,
        official=result.run / OFFICIAL,
        spec=result.spec,
        parameters=result.parameters,
        kept_epoch=result.kept_epoch,
        test=result.test,
        seconds=result.seconds,
        device=result.device,
        precision=result.precision,
        reconstructions=tuple(written),
    )
