"""Work in processes of their own: in order, bounded, and whatever dies."""

import os
import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pointlora_cli.errors import CloudError, DataError, PointLoRAError
from pointlora_cli.process_map import Lost, map_in_processes


def function_of(function):
    """What each process makes: the function itself."""
    return function


def work(make, items, processes=2, ahead=8, in_hand=1):
    return map_in_processes(
        make, items, processes=processes, ahead=ahead, remedy="Start fewer.", in_hand=in_hand
    )


def slow_first(item):
    time.sleep(0.3 if item == 0 else 0)
    return item, os.getpid()


def test_results_come_in_order_from_all_processes():
    found = list(work(partial(function_of, slow_first), range(60)))
    assert [item for item, _ in found] == list(range(60))
    assert len({process for _, process in found}) == 2


def die_of(deadly, seen, item):
    if item in deadly:
        with (seen / str(item)).open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_an_item_that_kills_two_processes_is_lost_and_the_others_are_not(tmp_path):
    found = list(work(partial(function_of, partial(die_of, {3}, tmp_path)), range(12)))
    lost = found.pop(3)
    assert isinstance(lost, Lost)
    assert "killed (SIGKILL" in lost.how
    assert found == [0, 1, 2, *range(4, 12)]
    assert (tmp_path / "3").read_text() == "xx"


def die_once(seen, item):
    if item == 3 and not (seen / "died").exists():
        (seen / "died").touch()
        os._exit(7)
    return item


def test_an_item_is_tried_again_after_a_death(tmp_path):
    assert list(work(partial(function_of, partial(die_once, tmp_path)), range(8))) == list(range(8))
    assert (tmp_path / "died").exists()


def test_where_process_after_process_is_killed_no_more_items_are_given_up(tmp_path):
    found = []
    with pytest.raises(DataError, match=r"killed \(SIGKILL.*\), as 5 before it") as caught:
        found.extend(work(partial(function_of, partial(die_of, range(1, 40), tmp_path)), range(40)))
    assert caught.value.remedy == "Start fewer."
    assert sum(len(path.read_text()) for path in tmp_path.iterdir()) in (6, 7)  # at the end, both may


def terminate(item):
    os.kill(os.getpid(), signal.SIGTERM)
    return item


def test_sigterm_to_the_whole_group_is_left_to_the_parent():
    assert list(work(partial(function_of, terminate), range(4))) == list(range(4))


def test_processes_that_cannot_begin_are_an_error_and_no_hang():
    with pytest.raises(DataError, match="exit code 3"):
        list(work(partial(os._exit, 3), range(4)))


def refuse(item):
    raise CloudError("a.ply: cannot be written", "choose another place")


def test_errors_keep_their_kind_and_their_words():
    with pytest.raises(CloudError, match="cannot be written") as caught:
        list(work(partial(function_of, refuse), range(4), processes=1))
    assert caught.value.remedy == "choose another place"
    with pytest.raises(PointLoRAError, match=r"a bug in pointlora .*ZeroDivisionError"):
        list(work(partial(function_of, partial(divmod, 1)), [2, 0], processes=1))


def twice(item):
    return item + item


def test_large_items_and_results_do_not_block_each_other():
    items = [bytes([index]) * 2**20 for index in range(6)]
    assert list(work(partial(function_of, twice), items)) == [item + item for item in items]


def mark(seen, item):
    (seen / str(item)).touch()
    return os.getpid()


def test_no_process_runs_ahead_of_the_reader_and_all_end_with_it(tmp_path):
    ahead = 6
    with closing(work(partial(function_of, partial(mark, tmp_path)), range(1000), ahead=ahead)) as found:
        processes = {next(found) for _ in range(40)}
        time.sleep(0.3)
        assert len(list(tmp_path.iterdir())) <= 40 + ahead
    for process in processes:
        assert not Path(f"/proc/{process}").exists()
