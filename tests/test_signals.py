"""Being told to stop."""

import signal
import sys

import pytest

from wsol.signals import Terminated, interruptible, unbroken

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_scheduler_is_heard_like_ctrl_c(number):
    with pytest.raises(KeyboardInterrupt) as caught, interruptible() as told:
        signal.raise_signal(number)
    assert isinstance(caught.value, Terminated) and caught.value.number == number
    assert told == [number] and caught.value.name == number.name
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_is_ignored_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as told, unbroken():
            signal.raise_signal(signal.SIGHUP)
        assert told == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_changes_nothing():
    with interruptible() as told:
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert told == [signal.SIGTERM]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_save_is_finished_whatever_comes_meanwhile(second):
    saved = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            with unbroken():
                signal.raise_signal(second)
                saved.append("whole")
            raise
    assert saved == ["whole"]
