"""Every bound of the checks, with its reason.

`invalid` is kept for figures that mean something else than they say: they enter no average, and the
trial is run once more. `suspect` figures are real, and the reader must know what stands behind
them. Ratios are shares of 1; FACTS are the measurements that the kit was built on.
"""

from __future__ import annotations

# -- what wrk printed -----------------------------------------------------------------------------

STATUS_RATIO_INVALID = 0.01
"""Answers with a status above 399. Error pages are cheap: one in a hundred already flatters."""
LITTLE_SUSPECT = 1.25
"""Connections / (req/s) over mean latency. FACTS: healthy runs 0.98-1.02; two digits of rounding,
the 0.1 s that wrk needs to stop and a start-up pause stay below 1.1."""
LITTLE_INVALID = 2.0
"""From here more than half of the connections' time is in no latency. FACTS: 20 (Granian with a
backpressure of 10) and 84 (uWSGI `http11-socket`, 198 of 200 connections starved)."""
STALLS_SUSPECT = 0.5
"""The same ratio downwards: wrk's correction has doubled the mean (see `little.check_stalls`).
Exponential latency gives 0.85 and one answer in a hundred at twenty times the rest 0.49."""
CLOSED_RATIO = 0.5
CLOSED_RATIO_MAX = 1.5
"""Read errors per answer. A server that closes after each answer without announcing it gives
1.0 (FACTS: uWSGI `http-socket`), a healthy one 0; above, more connections break than answers come.
"""
BROKEN_RATIO_SUSPECT = 0.001
"""Read and write errors per answer: a worker that is replaced now and then stays below."""
LOST_CONNECTIONS_INVALID = 0.05
"""Connect errors per connection: wrk gives up one that it cannot open, so the rest of the run has
less load than it says. One in twenty is the smallest difference anybody asks for."""
RATE_TOLERANCE = 0.02
"""Requests / duration against the stated req/s: wrk computes one from the other, and rounds the
duration to half a percent at worst (`1.00m`)."""
RATE_ROUNDING_RPS = 0.005
"""wrk prints two decimals of req/s."""
ORDER_TOLERANCE = 0.01
"""Mean and percentiles against the maximum: three digits of rounding."""
DURATION_TOLERANCE = 0.05
DURATION_SLACK_S = 1.0
"""wrk takes whole seconds and looks every 0.1 s whether it is over."""

# -- what the runner saw of service and host ----------------------------------------------------

COVERAGE_RATIO_SUSPECT = 0.8
"""Share of the load during which memory was sampled: a peak may hide in the rest."""
SWAP_SUSPECT_BYTES = 2**20
"""A page or two of a start-up script may be swapped for ever; a MiB is memory in want."""
SWAP_RATIO_INVALID = 0.25
"""Swap over PSS and swap: a quarter of the server is not in the memory that is compared."""
TREND_SUSPECT = 1.4
"""Last third over first third, and its inverse. Two like trials of 5 s differ by 7-9 % (FACTS), so
their ratio by 12 %: this is three times that."""
TREND_INVALID = 0.1
"""It all but stopped answering; a mean over work and silence describes neither."""
LOADGEN_RATIO_SUSPECT = 0.35
"""wrk's share of all cores. FACTS: up to a quarter at 10 000 req/s. Above, a faster server would
take CPU from its own load generator."""
LOADGEN_RATIO_INVALID = 0.9
"""wrk's share of the cores that its threads can use: this is wrk's limit, not the server's."""
RUNNER_RATIO_SUSPECT = 0.05
"""The runner's share of all cores. FACTS: 3.6 ms a sample, under 1 % at two samples a second."""
STEAL_RATIO_SUSPECT = 0.05
"""Time that the hypervisor gave to others. FACTS: 0-1 % is usual. Never invalid: it may last all
day, and ratios inside a block hold under it."""
OTHERS_RATIO_SUSPECT = 0.05
"""Share of all cores taken by processes that are no part of the trial: as large as the smallest
difference anybody asks for."""
OTHERS_RATIO_INVALID = 0.2
"""A fifth of the machine, or nearly half a core of two: this is another host than planned."""
CLOCK_STEP_SUSPECT_S = 0.05
"""wrk times with the wall clock (`gettimeofday`). An NTP daemon that slews moves it by 500 ppm at
most, 15 ms in 30 s; this is a step."""
CLOCK_STEP_RATIO_INVALID = 0.02
"""Of the load's duration: req/s is wrong by as much."""

# -- what the other trials of the run tell ------------------------------------------------------

CANARY_RATIO_SUSPECT = 1.5
"""A canary over the median of the run's canaries, and its inverse. FACTS: it varies by 10-35 % with
no harm to the trial, and correcting by it made noise worse; a throttle to 60 % gives 1.67."""
CANARY_MIN_TRIALS = 5
"""Below, a median says little."""
RATE_KEPT = 0.98
"""Answered over asked for. Below, the queue grows by a fiftieth of all requests or more."""
RATE_SLACK_REQUESTS = 5
"""This few behind may be under way at the leg's end by chance; legs at low rates have few."""
GENERATOR_RATIO_SUSPECT = 0.1
"""The fixed-rate generator's share of all cores: 0.07 to 0.12 ms a request, so a seventh of two
cores at 3 400 req/s. The capacity was measured beside wrk, which takes a quarter of that."""
OWN_LAG_SUSPECT_MS = 20.0
"""How late the generator may be by itself for one request in a hundred: some slices of the
scheduler's time on a host whose cores are all busy."""
