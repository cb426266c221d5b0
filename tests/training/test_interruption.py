"""Ctrl-C and SIGTERM wait until a state is whole, and who handled them before does so again."""

from __future__ import annotations

import signal

import pytest

from pointlora_cli.training.interruption import Interruption

BOTH = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    pass


@pytest.fixture
def handlers():
    """Two of one's own, of which a signal leaves that of the system, as the command line's does."""
    former = {number: signal.getsignal(number) for number in BOTH}

    def stop(number, frame):
        for caught in BOTH:
            signal.signal(caught, signal.SIG_DFL)
        raise Stopped(number)

    for number in BOTH:
        signal.signal(number, stop)
    yield stop
    for number, handler in former.items():
        signal.signal(number, handler)


def installed():
    return {signal.getsignal(number) for number in BOTH}


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_waits_until_it_is_asked_for(handlers, number):
    done = []
    with pytest.raises(Stopped) as stop, Interruption() as interruption:
        interruption.check()
        signal.raise_signal(number)
        done.append("the rest of the step")
        assert installed() == {signal.SIG_DFL}  # a second one ends the process
        interruption.check()
        done.append("never")
    assert (stop.value.args, done) == ((number,), ["the rest of the step"])
    assert installed() == {signal.SIG_DFL}  # as the handler of before left it


def test_a_signal_that_nobody_asked_for_comes_at_the_end(handlers):
    with pytest.raises(Stopped), Interruption():
        signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_the_handlers_of_before_are_there_again(handlers):
    with Interruption() as interruption:
        with interruption.let_through():
            assert installed() == {handlers}
        assert installed() != {handlers}
    assert installed() == {handlers}


def test_an_error_counts_more_than_a_signal_and_leaves_the_handlers_of_before(handlers):
    with pytest.raises(ZeroDivisionError), Interruption():
        signal.raise_signal(signal.SIGINT)
        1 / 0  # noqa: B018
    assert installed() == {handlers}


def test_what_a_handler_leaves_while_signals_are_let_through_stays(handlers):
    with pytest.raises(Stopped), Interruption() as interruption, interruption.let_through():
        signal.raise_signal(signal.SIGINT)
    assert installed() == {signal.SIG_DFL}


def test_the_handler_of_python_itself_is_there_again(handlers):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.check()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_an_ignored_signal_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.check()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
