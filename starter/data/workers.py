"""The threads and processes that prepare images: how they start, and that they end."""

import atexit
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.context import BaseContext
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R], arguments: Iterable[T], results: int, threads: int = 1
) -> Iterator[R]:
    """map() in background threads, so many results in advance; errors are raised here."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        try:
            for argument in arguments:
                pending.append(pool.submit(function, argument))
                if len(pending) > results:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def in_new_processes(preload: str) -> BaseContext:
    """The way to start workers. preload: a module that is imported once for all of them."""
    # A fork of a process in which torch or opencv has started threads can hang.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([preload])
    atexit.register(_kill)
    return context


def start(number: int) -> None:
    """What a worker does first."""
    import cv2

    cv2.setNumThreads(0)  # one image is small, and every core has a worker of its own
    # A terminal sends Ctrl-C to every process, torchrun SIGTERM: only the one that trains answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _kill() -> None:
    """An error on its way out keeps the loader by its traceback, and so the workers: Python would
    then send them a SIGTERM, which they do not hear, and wait for them."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def _end_with_parent() -> None:
    """torch's own watchdog looks at the parent process, which here is the fork server, and that one
    lives as long as any worker: when the training is killed, both would stay for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
