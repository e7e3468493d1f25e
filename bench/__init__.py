"""What Stillgate costs, measured against a bare aiohttp pass-through: `make bench`, or `python -m bench --help`.

How it measures
- The same load goes through both proxies: a 2 kB chat request with a 1.5 kB JSON answer, and a stream of 64 chunks that
  the upstream writes one by one. Each answer is compared byte for byte; a wrong one, or one that is missing in the
  decision log afterwards, ends the benchmark with exit code 1.
- Stillgate runs as shipped: `python -m proxy.cli serve` with one worker, `policies/default.yaml`, the embedded store,
  the decision log in a file. The bare one (`pass_through.py`) is what one would write with aiohttp, made to be fast.
- The two proxies have one core, where the one that is not asked sleeps. Load, upstream, Stillgate's parent and its
  store share the other cores.
- Rounds are interleaved and change who goes first; a first round warms up; figures are medians over the others.

How to read it
- `ratio` is ours / bare of what one core serves in a second of wall time.
- `cpu_us` is CPU time per exchange, and `cpu_ratio` is what `ratio` would be on a core that nobody disturbs. Wall time
  is shared with whatever else runs, CPU time is not: on a noisy machine believe this one. Two signs of noise: a
  `core_share` well below 100 % with 16 clients, and a `ratio` far from `cpu_ratio`. Even CPU time grows when neighbours
  take the caches or the clock rate, so compare figures of one run only.
- A stream's 65 writes cost the upstream nearly what they cost the bare proxy. On two cores the load is then close to
  being the slower side, which flatters the `ratio` of streams as soon as anything else runs; `cpu_ratio` does not care.
- `reads` is in how many pieces a client gets an answer: the slower a proxy, the more chunks of a stream it finds
  together, and the cheaper each becomes.
- `json`, `stream` and `latency` rotate through keys that are in use all the time, so that their quotas' leases are
  held. `cold` rotates through so many that each has rested for longer than a lease is kept, so that all its leases are
  asked for anew: the dearest case, and that of most customers of a quiet deployment.
- `waterfall` times every step on its own, in the benchmark's process, beside the CPU time that was measured. A step
  that runs over and over finds its code and data in the nearest cache; in the midst of work it takes up to twice as
  long. That is most of the rest; what no step contains is in it too. So it tells which step is worth making cheaper,
  not where the last microsecond went. The rows about server and client are differences to aiohttp's own ways and may be
  below zero: that of the server holds the reading of the request and the writing of the answer.
- `rules` is the engine alone, on packs of 100 plain rules and of 20 expressions of which none fires, as for nearly
  every exchange; and what a pack of 1,000 rules takes to be loaded, for which no customer waits.
"""
