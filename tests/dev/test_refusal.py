"""What cannot work is one line that says what to change, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import free_port

from .command import KEDA_PY, SECONDS, Dev, dev, refused
from .manifests import deployment, scaled_object, write

pytestmark = pytest.mark.e2e

CRON = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 * * * *", "end": "1 * * * *"}}


def test_yaml_that_is_none_names_file_document_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n---\nkind: [\n")
    assert refused(tmp_path, "a.yaml").startswith("keda-py: a.yaml, document 2: not YAML in line 6: ")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([1], "document 1: an object needs apiVersion, kind and metadata.name"),
        ({"kind": "Namespace", "apiVersion": "v1", "metadata": {}}, "document 1: an object needs apiVersion, kind"),
        (
            scaled_object("a", CRON) | {"kind": "ScaledObjet"},
            "the embedded cluster has no kind ScaledObjet in keda.sh/v1alpha1; did you mean ScaledObject?",
        ),
        (deployment("a") | {"apiVersion": "extensions/v1beta1"}, "did you mean Deployment in apps/v1?"),
        (scaled_object("a", CRON, maxReplicaCount="many"), "spec.maxReplicaCount"),
        (scaled_object("a", CRON, maxReplicas=3), 'unknown field "spec.maxReplicas"'),
        (scaled_object("NoName", CRON), "metadata.name"),
        ({"kind": "List", "apiVersion": "v1", "items": [{}]}, "document 1: an object needs apiVersion"),
    ],
)
def test_an_object_that_is_refused_names_file_and_document(tmp_path: Path, document: object, says: str) -> None:
    write(tmp_path / "a.yaml", document)
    line = refused(tmp_path, "a.yaml")
    assert line.startswith("keda-py: a.yaml, document 1: ")
    assert says in line


def test_a_file_in_a_folder_is_refused_like_any(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    write(tmp_path / "all" / "a.yaml", deployment("a"))
    (tmp_path / "all" / "b.yml").write_bytes(b"\xff\xfe")
    (tmp_path / "all" / "notes.txt").write_text("no manifest")
    assert refused(tmp_path, "all") == "keda-py: all/b.yml cannot be read: it is no text in UTF-8"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", scaled_object("NoName", CRON), scaled_object("b", CRON, maxReplicaCount="many"))
    (tmp_path / "b.yaml").write_text("kind: [")
    running = Dev([*KEDA_PY, "dev", "--port", "0", "a.yaml", "b.yaml"], tmp_path)
    assert running.process.wait(SECONDS) == 2
    lines = running.said().splitlines()
    for line, place in zip(lines, ("a.yaml, document 1", "a.yaml, document 2", "b.yaml, document 1"), strict=True):
        assert line.startswith(f"keda-py: {place}: ")


def test_a_template_is_told_from_a_typing_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Namespace\nmetadata:\n  name: {{ .Values.name }}\n")
    assert refused(tmp_path, "a.yaml").endswith("; a template has to be rendered first, as by helm template")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("https://example.com/a.yaml", "https://example.com/a.yaml is no file: download it first"),
        ("-", "- is no file that can be read again: pipe into kubectl apply -f - while keda-py dev runs"),
        ("/dev/null", "/dev/null is no file that can be read again: "),
    ],
)
def test_what_is_no_file_says_where_it_can_go(tmp_path: Path, value: str, says: str) -> None:
    assert says in refused(tmp_path, value)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    port = str(free_port())
    with dev(tmp_path, "--port", port) as running:
        assert running.kubeconfig
        running.wait_for("There is no ScaledObject or ScaledJob yet: kubectl apply one.")
        line = refused(tmp_path, "--port", port)
    assert line == f"keda-py: cannot listen on 127.0.0.1:{port}: Address already in use; change --port"


@pytest.mark.parametrize("module", ["rich", "yaml"])
def test_an_extra_that_is_missing_says_what_to_install(tmp_path: Path, module: str) -> None:
    without = f"import sys; sys.modules['{module}'] = None; from keda_py.cli import main; main()"
    running = Dev([sys.executable, "-c", without, "dev"], tmp_path)
    assert running.process.wait(60) == 2
    assert f"needs the Python module {module}" in running.said()
    assert "in a clone: pip install '.[dev-cluster]'" in running.said()
    assert "Traceback" not in running.said()


def test_help_is_quick_and_says_what_it_is_not_for(tmp_path: Path) -> None:
    watched = "import sys; from keda_py.cli import main; main(standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", watched, "dev", "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "not for production" in " ".join(shown.split())
    for heavy in ("rich", "yaml", "aiohttp", "kubernetes_asyncio"):
        assert f"'{heavy}'" not in shown
