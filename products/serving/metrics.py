"""Counters of one process, in the plain text form that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Calls by endpoint and status, and how long they took."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))

    def count(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one call."""
        self._calls[endpoint, status] += 1
        self._seconds[endpoint] += seconds
        self._buckets[endpoint][bisect_left(BUCKETS, seconds)] += 1

    def text(self, gauges: dict[str, float]) -> str:
        """Return every counter, and these gauges."""
        lines = ["# TYPE shuzha_calls_total counter"]
        lines += [
            f'shuzha_calls_total{{endpoint="{endpoint}",status="{status}"}} {count}'
            for (endpoint, status), count in sorted(self._calls.items())
        ]
        lines.append("# TYPE shuzha_call_seconds histogram")
        for endpoint, buckets in sorted(self._buckets.items()):
            total = 0
            for edge, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
                total += count
                lines.append(f'shuzha_call_seconds_bucket{{endpoint="{endpoint}",le="{edge}"}} {total}')
            lines.append(f'shuzha_call_seconds_sum{{endpoint="{endpoint}"}} {self._seconds[endpoint]:.6f}')
            lines.append(f'shuzha_call_seconds_count{{endpoint="{endpoint}"}} {total}')
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE shuzha_{name} gauge", f"shuzha_{name} {value:g}"]
        return "\n".join(lines) + "\n"
