from __future__ import annotations

from proxy.clock import VirtualClock
from proxy.standin.prompt_cache import CacheUse, Prefix, PromptCache

SHORT, LONG = Prefix(b"short", 10), Prefix(b"long", 30)


def test_the_longest_known_prefix_is_read_and_the_rest_written() -> None:
    cache = PromptCache(VirtualClock())
    assert cache.use([SHORT]) == CacheUse(read=0, written=10)
    assert cache.use([SHORT, LONG]) == CacheUse(read=10, written=20)
    assert cache.use([SHORT, LONG]) == CacheUse(read=30, written=0)
    assert cache.use([]) == CacheUse(0, 0)


def test_a_prefix_is_forgotten_five_minutes_after_its_last_use() -> None:
    clock = VirtualClock()
    cache = PromptCache(clock)
    cache.use([SHORT])
    clock.advance(299)
    assert cache.use([SHORT]).read == 10
    clock.advance(299)
    assert cache.use([SHORT]).read == 10
    clock.advance(300)
    assert cache.use([SHORT]).read == 0


def test_the_oldest_prefixes_make_room_for_new_ones() -> None:
    cache = PromptCache(VirtualClock())
    cache.use([SHORT])
    cache.use([Prefix(str(number).encode(), 1) for number in range(1024)])
    assert cache.use([SHORT]).read == 0
    assert cache.use([Prefix(b"1023", 1)]).read == 1
