"""Making metric families of what is at hand, for whoever tells of metrics."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from keda_py.runtime.meter import Histogram

Labels = tuple[str, ...]


def gauge(name: str, help_text: str, labels: Labels, series: Iterable[tuple[Labels, float]]) -> GaugeMetricFamily:
    """Return a family of gauges."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, number in series:
        family.add_metric(values, number)
    return family


def counter(name: str, help_text: str, labels: Labels, series: Iterable[tuple[Labels, float]]) -> CounterMetricFamily:
    """Return a family of counters, whose name is told with ``_total``."""
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, number in series:
        family.add_metric(values, number)
    return family


def histogram(
    name: str, help_text: str, labels: Labels, series: Iterable[tuple[Labels, Histogram]]
) -> HistogramMetricFamily:
    """Return a family of histograms."""
    family = HistogramMetricFamily(name, help_text, labels=labels)
    for values, found in series:
        bounds = [f"{bound:g}" for bound in found.bounds] + ["+Inf"]
        so_far = 0
        buckets = []
        for bound, count in zip(bounds, found.counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        family.add_metric(values, buckets, found.total)
    return family
