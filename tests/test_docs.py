"""The documentation knows everything there is: triggers, parameters, flags, metrics, events; and every link leads."""

import re
from pathlib import Path

import click
import pytest

from keda_py import naming
from keda_py.cli import dev, run
from keda_py.decide.formula import LONGEST
from keda_py.decide.formula.code import DEEPEST, METHODS
from keda_py.decide.formula.function import FUNCTIONS
from keda_py.decide.formula.parser import NESTED
from keda_py.decide.formula.predicate import PREDICATES
from keda_py.decide.formula.steps import MOST
from keda_py.dev.options import WARNING
from keda_py.engine.registry import Registry
from keda_py.parameter import declared_parameters
from keda_py.serve.otel import INSTRUMENTS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REGISTRY = Registry.installed()
PAGES = {"apache-kafka": "kafka", "cpu": "cpu-memory", "memory": "cpu-memory"}


@pytest.mark.parametrize("trigger_type", REGISTRY.types)
def test_every_parameter_of_every_trigger_is_documented(trigger_type: str) -> None:
    text = (DOCS / "triggers" / f"{PAGES.get(trigger_type, trigger_type)}.md").read_text()
    if trigger_type == "prometheus":
        text += (DOCS / "triggers" / "metrics-api.md").read_text()
    names = [parameter.names[0] for _, parameter in declared_parameters(REGISTRY.load(trigger_type).metadata)]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert f"`{trigger_type}`" in (DOCS / "triggers" / "index.md").read_text()


def test_how_many_of_keda_s_triggers_there_are_is_said_first() -> None:
    for page in (ROOT / "README.md", DOCS / "index.md"):
        assert f"with {len(REGISTRY.types)} of the 76 trigger types" in page.read_text()


def test_every_flag_and_variable_is_documented() -> None:
    text = (DOCS / "cli.md").read_text()
    for option in run.params:
        assert isinstance(option, click.Option)
        assert f"`{option.opts[0]}`" in text
        assert option.envvar is None or f"`{option.envvar}`" in text


def test_every_flag_of_the_embedded_cluster_is_documented() -> None:
    text = (DOCS / "dev.md").read_text()
    assert WARNING in " ".join(text.split())
    for option in dev.params:
        if isinstance(option, click.Option):
            assert f"`{option.opts[0]}`" in text
            assert option.envvar is None or f"`{option.envvar}`" in text


def test_the_picture_is_small_and_asks_nobody() -> None:
    picture = (DOCS / "dev.svg").read_text()
    assert len(picture.encode()) < 100_000
    assert not re.search(r"""(href|src)=["']?http|url\(["']?http|@font-face|@import""", picture)


def test_every_function_of_a_formula_is_documented() -> None:
    text = (DOCS / "formulas.md").read_text()
    assert [name for name in [*FUNCTIONS, *PREDICATES, *METHODS] if not re.search(rf"`{name}`|\.{name}\(", text)] == []
    for limit in (LONGEST, MOST, NESTED, DEEPEST):
        assert re.search(rf"\b{limit:,}\b", text)


def test_every_metric_is_documented() -> None:
    text = (DOCS / "operate.md").read_text()
    sources = [(ROOT / "keda_py/serve" / name).read_text() for name in ("telemetry.py", "machinery.py")]
    pattern = r'"((?:keda|leader|controller|rest|workqueue)_[a-z_]+)"'
    names = {name for source in sources for name in re.findall(pattern, source)}
    assert len(names) >= 20
    assert {name for name in names if name not in text} == set()
    assert {one.name for one in INSTRUMENTS if f"`{one.name}`" not in text} == set()


def test_every_event_and_reason_is_documented() -> None:
    text = (DOCS / "operate.md").read_text()
    events = {value for name, value in vars(naming.EventReason).items() if name.isupper()}
    reasons = {value for name, value in vars(naming.Reason).items() if name.isupper()}
    unused = {"NoFallbackFound", "ScaledObjectUnpaused", "HPAMetricsUnavailable"}
    assert {name for name in events | (reasons - unused) if f"`{name}`" not in text} == set()


def test_every_decision_and_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert [page for page in pages if page not in navigation] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()
