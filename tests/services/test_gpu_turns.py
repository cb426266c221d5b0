"""Which GPU each process of a grid works on."""

import pytest

from pointlora_cli.services.gpu_turns import free_turn, gpu_of, shared_gpus
from pointlora_cli.services.grid_workers import how_many_fit

GIB = 2**30


@pytest.mark.parametrize(("device", "gpus"), [("auto", 4), ("cuda", 4), ("cuda:1", 0), ("cpu", 0)])
def test_processes_choose_among_gpus_unless_the_spec_names_a_device(device, gpus):
    assert shared_gpus(device, 4) == gpus


def test_six_processes_share_four_gpus_evenly_and_one_that_follows_takes_the_place_of_one_that_ended():
    turns = []
    for _ in range(6):
        turns.append(free_turn(turns))
    assert [gpu_of(turn, 4) for turn in turns] == [0, 1, 2, 3, 0, 1]
    turns.remove(2)
    assert gpu_of(free_turn(turns), 4) == 2


def test_without_gpus_to_choose_from_none_is_chosen():
    assert gpu_of(3, 0) is None


def test_as_many_fit_as_on_one_device_on_each(monkeypatch):
    monkeypatch.setattr("pointlora_cli.services.grid_workers.cores", lambda: 16)
    assert how_many_fit(10 * GIB, [2 * GIB]) == 3
    assert how_many_fit(10 * GIB, [2 * GIB], devices=4) == 12
    assert how_many_fit(10 * GIB, [2 * GIB], devices=8) == 16
