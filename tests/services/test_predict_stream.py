"""Predictions are the same however many processes make them, and whichever of the steps they take."""

import os
import shutil
import time
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pointlora_cli.errors import DataError
from pointlora_cli.services import predict_stream
from pointlora_cli.services.predict import Classified, ClassPredictor
from pointlora_cli.services.predict_stream import predictions, predictions_read_elsewhere
from pointlora_cli.services.predictor import Unreadable
from pointlora_cli.services.trained_model import load_trained_model


@pytest.fixture
def predictor(trained_run):
    return ClassPredictor(load_trained_model(trained_run / "adapter"))


@pytest.fixture
def paths(tmp_path):
    """Eleven clouds, and two files that are none."""
    random = np.random.RandomState(0)
    found = [tmp_path / f"{index:02}.npy" for index in range(13)]
    for index, path in enumerate(found):
        if index in (0, 6):
            path.write_bytes(b"none")
        else:
            np.save(path, random.standard_normal((100 + index, 3)) * [1, 2, 1 + index])
    return found


def probabilities(found):
    return np.array([each.probabilities for each in found if isinstance(each, Classified)])


def test_processes_change_nothing_but_the_rounding(predictor, paths):
    here = list(predictions(predictor, paths, workers=1))
    assert [each.path for each in here] == paths
    assert [isinstance(each, Unreadable) for each in here] == [index in (0, 6) for index in range(13)]
    found = list(predictions(predictor, paths, workers=2))
    assert [each.path for each in found] == paths
    np.testing.assert_allclose(probabilities(found), probabilities(here), rtol=0, atol=1e-6)


def noted(prepare, notes, path):
    (notes / path.name).write_text(str(os.getpid()))
    return prepare(path)


class SlowModel(ClassPredictor):
    """Takes batches of 4, and a while for each; notes how many clouds it has had, and how many were read."""

    def __init__(self, trained, notes):
        super().__init__(trained)
        self.batch, self.notes, self.taken = 4, notes, []

    @property
    def prepare(self):
        return partial(noted, super().prepare, self.notes)

    def finish(self, prepared):
        time.sleep(0.3)
        self.taken.append((len(prepared), len(list(self.notes.iterdir()))))
        return super().finish(prepared)


def test_with_a_gpu_processes_read_and_never_run_far_ahead_of_the_model_here(predictor, paths, tmp_path):
    """The steps of a GPU, with a CPU as the device."""
    model = SlowModel(predictor.trained, tmp_path / "notes")
    model.notes.mkdir()
    files = [*paths, *(Path(shutil.copy(paths[1], tmp_path / f"{index}.npy")) for index in range(20, 37))]
    found = list(predictions_read_elsewhere(model, files, 2))
    assert [each.path for each in found] == files
    assert [count for count, _ in model.taken] == [4] * 7
    for batch, (_, read) in enumerate(model.taken, start=1):
        assert (
            read <= 4 * batch + 2 + 8
        )  # unreadable ones, and what may wait: 2 for each process, and a batch
    readers = {int(note.read_text()) for note in model.notes.iterdir()}
    assert len(readers) == 2
    assert os.getpid() not in readers
    alone = probabilities(predictions(predictor, files, workers=1))
    np.testing.assert_allclose(probabilities(found), alone, rtol=0, atol=1e-6)


def test_no_prediction_is_kept_however_many_there_are(predictor, paths):
    """Memory is flat: of those that the reader let go, none is left."""
    alive = []
    most = 0
    for prediction in predictions(predictor, [paths[1]] * 60, workers=1):
        alive.append(weakref.ref(prediction))
        del prediction
        most = max(most, sum(each() is not None for each in alive))
    assert most <= 2


def test_the_model_takes_whole_batches_with_unreadable_files_among_them(predictor, paths):
    alone = probabilities(predictions(predictor, paths, workers=1))
    taken = []
    finish = predictor.finish
    predictor.batch = 4
    predictor.finish = lambda prepared: taken.append(len(prepared)) or finish(prepared)
    found = list(predictions(predictor, paths, workers=1))
    assert taken == [4, 4, 3]
    assert [each.path for each in found] == paths
    np.testing.assert_allclose(probabilities(found), alone, rtol=0, atol=1e-6)


def test_others_take_over_only_once_they_save_time(predictor, paths, monkeypatch):
    started = []

    def elsewhere(make, files, processes, *, ahead):
        started.append((len(files), processes))
        yield from (Unreadable(path, None) for path in files)

    monkeypatch.setattr(predict_stream, "_elsewhere", elsewhere)
    monkeypatch.setattr(predict_stream, "cores", lambda: 2)
    monkeypatch.setattr(predict_stream, "free_memory", lambda device: None)
    assert len(list(predictions(predictor, paths))) == 13
    assert started == []
    monkeypatch.setattr(predict_stream, "_TRIAL", 0.0)
    monkeypatch.setattr(predict_stream, "_LEAST_SAVED", 0.0)
    found = list(predictions(predictor, paths))
    assert started == [(12, 2)]
    assert [each.path for each in found] == paths


@pytest.mark.parametrize(("free", "expected"), [(None, 8), (2**40, 8), (2**30, 2), (0, 1)])
def test_processes_are_as_many_as_memory_holds(predictor, monkeypatch, free, expected):
    monkeypatch.setattr(predict_stream, "cores", lambda: 8)
    monkeypatch.setattr(predict_stream, "free_memory", lambda device: free)
    assert predict_stream.how_many(predictor.trained) == expected


def test_an_adapter_that_was_replaced_meanwhile_is_refused(predictor, trained_run):
    with pytest.raises(DataError, match="another adapter"):
        predict_stream._whole(ClassPredictor, trained_run / "adapter", None, "0" * 64, 1)
