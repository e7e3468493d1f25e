"""Work in a thread of its own is over when the one who started it goes on, whatever came between."""

from __future__ import annotations

import threading

import pytest

from proxy.review.apart import done_apart


def test_its_result_and_its_error_are_those_of_the_work() -> None:
    with done_apart(lambda: 7, lambda: None) as done:
        assert done.result(10) == 7
    with pytest.raises(ZeroDivisionError), done_apart(lambda: 1 // 0, lambda: None):
        pass


def test_what_ends_the_waiting_interrupts_the_work_and_waits_for_its_end() -> None:
    asked, over = threading.Event(), []

    def work() -> None:
        asked.wait(10)
        over.append(True)

    with pytest.raises(SystemExit), done_apart(work, asked.set):
        raise SystemExit
    assert over == [True]


def test_a_signal_while_the_thread_is_started_does_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, begun, over = threading.Event(), threading.Event(), []
    start = threading.Thread.start

    def work() -> None:
        begun.set()
        asked.wait(10)
        over.append(True)

    def started(thread: threading.Thread) -> None:
        start(thread)
        begun.wait(10)
        raise SystemExit

    monkeypatch.setattr(threading.Thread, "start", started)
    with pytest.raises(SystemExit), done_apart(work, asked.set):
        pass
    assert over == [True]


def test_work_that_a_signal_came_before_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Thread] = []

    def unstarted(thread: threading.Thread) -> None:
        begun.append(thread)
        raise SystemExit

    monkeypatch.setattr(threading.Thread, "start", unstarted)
    done: list[bool] = []
    with pytest.raises(SystemExit), done_apart(lambda: done.append(True), lambda: None):
        pass
    monkeypatch.undo()
    begun[0].start()  # as if it had come to that all the same
    begun[0].join(10)
    assert done == []
