"""Masked modelling in the one training loop: it runs, is kept, stops, and goes on bit for bit."""

import signal

import numpy as np
import pytest
import torch
from model_specs import masked_autoencoder_of, tiny_spec

from pointlora_cli.console.documents import metrics_document
from pointlora_cli.console.metrics_tables import score_rows
from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.specs.pretraining import MaskingSpec
from pointlora_cli.training.checkpoints import Checkpoints, newest_checkpoint
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.loop import train
from pointlora_cli.training.masked_modelling import MaskedModellingTask
from pointlora_cli.training.task import Splits

MASKING = MaskingSpec(decoder_depth=2, decoder_heads=2)
SPEC = tiny_spec(
    "full",
    backbone={"drop_path": 0.1},
    train={"epochs": 3, "batch_size": 6, "selection": "best-test", "device": "cpu"},
    optimizer={"lr": 5e-3},
    schedule={"warmup_epochs": 1},
)


def clouds(count, seed):
    """Flat ones, stored with more points than a step takes."""
    points = np.random.default_rng(seed).uniform(-1, 1, (count, 80, 3)) * [1.0, 0.2, 1.0]
    return LabelledClouds(points.astype(np.float32), np.zeros(count, dtype=np.int64))


class Run:
    """Pre-trains with checkpoints in a folder, and remembers what it is told."""

    def __init__(self, folder):
        model = masked_autoencoder_of(SPEC, MASKING)
        splits = Splits(clouds(18, 0), clouds(7, 1), clouds(7, 2))
        device = torch.device("cpu")
        self.task = MaskedModellingTask(model, SPEC, MASKING, splits, device=device, dtype=torch.float32)
        self.folder, self.done = folder, []

    def __call__(self, start=None):
        checkpoints = Checkpoints(self.folder, SPEC.train, {"spec": "of a test"})
        return train(
            self.task,
            SPEC,
            listen=lambda event: self.done.append(event) if isinstance(event, EpochDone) else None,
            keep=lambda epoch: None,
            checkpoints=checkpoints,
            start=start,
        )

    def cut_after(self, steps):
        """Ctrl-C comes within a step, and waits for its end."""
        step, taken = self.task.step, []

        def counted(*chosen):
            taken.append(None)
            if len(taken) == steps:
                signal.raise_signal(signal.SIGINT)
            return step(*chosen)

        self.task.step = counted
        with pytest.raises(KeyboardInterrupt):
            self()

    def rows(self):
        return [(done.epoch, done.loss, done.evaluation.distances.tolist(), done.kept) for done in self.done]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("whole"))
    run.kept = run()
    return run


def test_the_loss_falls_and_the_nearest_epoch_is_kept(whole):
    losses = [done.evaluation.loss for done in whole.done]
    assert whole.done[-1].loss < whole.done[0].loss
    assert whole.kept.evaluation.loss == min(losses) < losses[0]


@pytest.mark.parametrize("steps", [4, 6])
def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path, whole, steps):
    cut, again = Run(tmp_path), Run(tmp_path)
    cut.cut_after(steps)
    torch.rand(3)
    kept = again(newest_checkpoint(tmp_path, SPEC.train, lambda event: None))
    assert cut.rows() + again.rows() == whole.rows()
    assert kept.epoch == whole.kept.epoch
    expected = whole.task.model.state_dict()
    assert all(value.equal(expected[name]) for name, value in again.task.model.state_dict().items())


def test_what_is_told_of_it(whole):
    metrics = whole.kept.evaluation
    assert metrics_document((), (), metrics) == {
        "clouds": 7,
        "chamfer_l2": metrics.loss,
        "loss": metrics.loss,
    }
    assert score_rows(metrics) == [("chamfer-l2 × 1000", f"[bold]{1000 * metrics.loss:.3f}[/] of 7 clouds")]
