"""Times small steps against each other, in turn, so that a slow moment of the machine meets all."""

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
    """Return what one call of each step takes by itself, in microseconds: the median over the means of its batches."""
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


async def in_turn_us(steps: Mapping[str, Step], batches: int) -> dict[str, float]:
    """Return what one call of each step takes where all take turns, as in one exchange, in microseconds.

    So each finds in the processor's caches what the others left there. The median over the means of batches.
    """
    # What it takes to read the clock is measured as one more step, and taken off.
    every: tuple[Step, ...] = (*steps.values(), lambda: None)
    entries = [(step, inspect.iscoroutinefunction(step)) for step in every]
    means: list[list[float]] = [[] for _ in entries]
    for _ in range(batches):
        taken = [0] * len(entries)
        for _ in range(BATCH):
            for place, (step, awaited) in enumerate(entries):
                began = perf_counter_ns()
                result = step()
                if awaited:
                    await result  # type: ignore[misc]  # a coroutine function's result can be awaited
                taken[place] += perf_counter_ns() - began
            await asyncio.sleep(0)
        for mean, nanoseconds in zip(means, taken, strict=True):
            mean.append(nanoseconds / BATCH / 1000)
    *found, clock = map(statistics.median, means)
    return {name: us - clock for name, us in zip(steps, found, strict=True)}
