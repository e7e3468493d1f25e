"""Times small steps against each other: batch by batch in turn, so that a slow moment of the machine meets all."""

from __future__ import annotations

import asyncio
import inspect
import statistics
from collections.abc import Callable, Mapping
from time import perf_counter_ns

# A function, or a coroutine function that never has to wait.
Step = Callable[[], object]
BATCH = 16


async def medians_us(steps: Mapping[str, Step], batches: int) -> dict[str, float]:
    """Return what one call of each step takes, in microseconds: the median over the means of its batches."""
    means: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(batches):
        for name, step in steps.items():
            awaited = inspect.iscoroutinefunction(step)
            began = perf_counter_ns()
            for _ in range(BATCH):
                result = step()
                if awaited:
                    await result  # type: ignore[misc]  # a coroutine function's result can be awaited
            means[name].append((perf_counter_ns() - began) / BATCH / 1000)
            # What is due meanwhile is done, as while serving: queues are emptied, memory is used anew.
            await asyncio.sleep(0)
    return {name: statistics.median(each) for name, each in means.items()}
