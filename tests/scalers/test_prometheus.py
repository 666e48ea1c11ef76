"""The `prometheus` trigger against a real Prometheus."""

from collections.abc import Iterator

import pytest
from keda_py_scalers.prometheus import PrometheusScaler, sample

from keda_py.scaler import PodIdentity, ScalerError
from tests.servers import prometheus

from .asking import Asked, read, value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as address:
        yield address


def asked(server: str, query: str, **metadata: str) -> Asked:
    given = {"serverAddress": server, "query": query, "threshold": "5", "ignoreNullValues": "false"}
    return Asked(PrometheusScaler, given | metadata)


@pytest.mark.parametrize(
    ("query", "number"),
    [("vector(7)", 7), ("3.25", 3.25), ("sum(vector(2) + vector(3))", 5), ("-vector(1)", -1), ("vector(1e21)", 1e21)],
)
async def test_vectors_and_scalars_are_read(server: str, query: str, number: float) -> None:
    assert value(await read(asked(server, query))) == number


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("no_such_metric", "the query has no result"),
        ("vector(0) / 0", "the query's result is nan"),
        ("vector(1) / 0", "the query's result is inf"),
        ("sum(", "answered 400"),
        ("vector(1) or label_replace(vector(2), 'a', 'b', '', '')", "the query has 2 results"),
        ("vector(1)[5m:1m]", "not that of a Prometheus query"),
        ('"text"', "not that of a Prometheus query"),
    ],
)
async def test_what_is_no_value_is_told(server: str, query: str, says: str) -> None:
    outcome = await read(asked(server, query))
    assert says in str(outcome.failure)
    assert not outcome.readings


async def test_the_default_takes_an_empty_result_as_zero(server: str) -> None:
    outcome = await read(asked(server, "no_such_metric", ignoreNullValues="true"))
    assert value(outcome) == 0
    assert outcome.active is False


async def test_a_query_that_needs_an_identity_is_not_asked_without_one(server: str) -> None:
    given = {"serverAddress": server, "query": "vector(7)", "threshold": "5"}
    outcome = await read(Asked(PrometheusScaler, given, pod_identity=PodIdentity("azure")))
    assert "pod identity azure cannot ask a Prometheus; use aws, azure-workload or gcp" in str(outcome.failure)
    assert not outcome.readings


@pytest.mark.parametrize("body", [b'{"data": {"result": [{"value": [1, true]}]}}', b"[" * 100_000, b"\xff"])
def test_what_is_no_sample_is_an_error(body: bytes) -> None:
    with pytest.raises(ScalerError, match="not that of a Prometheus query"):
        sample(body)
