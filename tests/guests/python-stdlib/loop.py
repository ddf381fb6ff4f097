"""An event loop for asyncio where there is one thread, no socket pair and no signal: all that it waits for is time.

The standard loop makes a pair of sockets to wake itself up, which WASI does not have. This one is the standard loop's other half: ready
callbacks, timers, tasks, futures and all that is built on them (sleep, gather, wait_for, queues, task groups) are asyncio's own.
"""

import time
from asyncio import base_events


class _Clock:
    """What the loop takes for a selector. Nothing is ever ready but time."""

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("every task waits, and for nothing that can come")
        if timeout > 0:
            # Through wasi-libc this is a pollable of WASI's monotonic clock.
            time.sleep(timeout)
        return []


class Loop(base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self._selector = _Clock()

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        # There is no other thread that could ask for it.
        pass


def run(main):
    """As `asyncio.run`."""
    loop = Loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
