"""Finding a number in a text: JSON, YAML, XML, Prometheus' exposition format (for `metrics-api` and others).

The rules are those of KEDA's GetValueFromResponse (pkg/scalers/metrics_api_scaler.go). What is not there, not a number
or not readable is an error, never 0.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.etree import ElementTree

import gjson
import yaml
from prometheus_client.parser import text_string_to_metric_families

from keda_py.scaler import QuantityError, ScalerError, parse_quantity


def extract(body: bytes, location: str, form: str) -> float:
    """Return the number at a location of a text; raise `ScalerError` saying why there is none.

    `form`: json (a GJSON path), yaml and xml (dotted keys), prometheus (a metric selector).
    """
    read = _READERS.get(form)
    if read is None:
        raise ScalerError(f"format {form}: expected one of {', '.join(_READERS)}")
    try:
        found = read(body.decode(), location)
    except UnicodeDecodeError:
        raise ScalerError(f"the answer is no text in UTF-8, and so not {form}") from None
    except RecursionError:
        raise ScalerError(f"the answer is nested deeper than {form} is read here") from None
    return number(found, location)


def number(found: Any, location: str) -> float:
    """Return a finite number that a value is or, as a quantity, means; raise `ScalerError` if it is none."""
    value = math.nan
    if isinstance(found, str):
        try:
            value = float(parse_quantity(found))
        except QuantityError:
            raise ScalerError(f"valueLocation {location}: a text that is no quantity such as 5, 250m or 1Ki") from None
    elif isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            value = float(found)
        except OverflowError:
            value = math.inf
    else:
        raise ScalerError(f"valueLocation {location}: neither a number nor a quantity but {_kind(found)}")
    if not math.isfinite(value):
        raise ScalerError(f"valueLocation {location}: {value} is no number to scale by")
    return value


def _kind(found: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "nothing"}
    return names.get(type(found), type(found).__name__)


def from_json(text: str, location: str) -> Any:
    """Return what a GJSON path finds; of equal keys the first counts."""
    try:
        if location.startswith(".."):
            # The path of many documents, one a line.
            lines = [_loads(line) for line in text.splitlines() if line.strip()]
            return gjson.get(lines, location[2:])
        return gjson.get(_loads(text), location)
    except gjson.GJSONError:
        raise ScalerError(f"valueLocation {location}: not found in the answer") from None


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_first_wins, parse_constant=_refuse)
    except ValueError:
        raise ScalerError("the answer is not JSON") from None


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def from_yaml(text: str, location: str) -> Any:
    """Return what dotted keys lead to in the first document."""
    try:
        found = next(yaml.load_all(text, Loader=_Loader), None)
    except (yaml.YAMLError, ValueError):
        raise ScalerError("the answer is not YAML") from None
    return _at(found, location)


def _at(found: Any, location: str) -> Any:
    """Return what dotted keys lead to; below a plain value there is nothing, and the rest of the keys no matter."""
    if not isinstance(found, dict):
        raise ScalerError("the answer is no mapping of keys to values")
    for key in location.split("."):
        keys = {str(position): item for position, item in enumerate(found)} if isinstance(found, list) else found
        if key not in keys:
            raise ScalerError(f"valueLocation {location}: there is no {key}")
        found = keys[key]
        if not isinstance(found, (dict, list)):
            break
    return found


class _Loader(yaml.SafeLoader):
    """YAML as Go's yaml.v3 reads it into a map: keys are texts as they are written, and stand once.

    Not the quicker loader in C: a deeply nested text overflows its stack, and ends the process.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002  PyYAML's
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(written)) != len(node.value):
            raise ValueError("a key stands twice, or is no plain text")
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node; of a plain text that of a number if it is one."""
        if kind is yaml.ScalarNode and implicit[0] and _plain_number(value) is not None:
            return _NUMBER_TAG
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """Return the number of a node that is one, or is said to be."""
        number = _plain_number(node.value)
        if number is None:
            raise ValueError("no number where the tag says that there is one")
        return number

    def construct_whatever(self, node: yaml.Node) -> Any:
        """Return what a node with a tag of somebody's own is without it."""
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node)
        return self.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


_NUMBER_TAG: Final = "tag:yaml.org,2002:float"
_WORD_TAGS: Final = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:merge")
_YAML_OCTAL: Final = re.compile("[-+]?0[0-7]+")
_YAML_WHOLE: Final = re.compile("[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0|[1-9][0-9]*)")
_YAML_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def _plain_number(text: str) -> float | None:
    """Return the number that yaml.v3 sees in a plain text: no times such as 1:30, no dates."""
    plain = text.replace("_", "") if text[:1] not in ("_", ".") else text
    if _YAML_OCTAL.fullmatch(plain):
        return int(plain, 8)
    if _YAML_WHOLE.fullmatch(plain):
        return int(plain, 0)
    number = float(plain) if _YAML_FLOAT.fullmatch(plain) else math.inf
    return number if math.isfinite(number) else None


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag in _WORD_TAGS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag in (_NUMBER_TAG, "tag:yaml.org,2002:int"):
    _Loader.add_constructor(_tag, _Loader.construct_number)
_Loader.add_constructor(None, _Loader.construct_whatever)


def from_xml(text: str, location: str) -> str:
    """Return the text that dotted names of elements lead to, the root's first; of equal ones the first counts."""
    parser = ElementTree.XMLParser(target=_Document())  # noqa: S314  which refuses what is dangerous
    try:
        parser.feed(text)
        root = parser.close()
    except ElementTree.ParseError:
        raise ScalerError("the answer is not XML") from None
    names = location.split(".")
    node = root if root.tag == names[0] else None
    for name in names[1:]:
        node = node.find(name) if node is not None and re.fullmatch(r"[\w-]+", name) else None
    if node is None or len(node):
        raise ScalerError(f"valueLocation {location}: there is no such element with a value")
    return (node.text or "").strip()


class _Document(ElementTree.TreeBuilder):
    """Builds a tree, and refuses what could make it larger than the text: a document type with entities."""

    def doctype(self, *_: str | None) -> None:
        raise ScalerError("the answer is XML with a document type, which is not read")


_SELECTOR: Final = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_MATCHER: Final = re.compile(
    r'\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*)?"((?:[^"\\]|\\.)*)"\s*(?:,|$)', re.DOTALL
)


def from_prometheus(text: str, location: str) -> float:
    """Return the first sample whose labels include those of a selector; every matcher means equality.

    Samples of histograms and summaries are not found, as in KEDA: which of them would be meant?
    """
    name, labels = _selector(location)
    types, samples = _split(text)
    if any(types.get(name.removesuffix(suffix)) in _COMPOSED for suffix in ("", "_bucket", "_sum", "_count")):
        raise ScalerError(f"valueLocation {location}: a histogram or summary has no single value")
    try:
        # All of it: what comes after a number tells whether it is garbage.
        found = [sample for family in text_string_to_metric_families(samples) for sample in family.samples]
    except (ValueError, KeyError, IndexError, AttributeError):
        raise ScalerError("the answer is not in Prometheus' exposition format") from None
    for sample in found:
        if sample.name == name and labels <= sample.labels.items():
            return sample.value
    raise ScalerError(f"valueLocation {location}: there is no such sample")


_COMPOSED: Final = frozenset({"histogram", "gauge_histogram", "summary"})
_TYPES: Final = _COMPOSED | {"counter", "gauge", "untyped"}


def _split(text: str) -> tuple[dict[str, str], str]:
    """Return the types that are declared, and the lines with samples.

    Apart, because the parser would rename the samples of a declared counter as OpenMetrics has it.
    """
    types: dict[str, str] = {}
    samples = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.lstrip().startswith("#"):
            samples.append(line)
        elif (declared := line.lstrip().removeprefix("#").split(None, 2))[:1] == ["TYPE"]:
            if len(declared) < _TYPE_WORDS:
                continue
            if declared[2].strip().lower() not in _TYPES:
                raise ScalerError("the answer declares a type that there is not")
            if declared[1] in types:
                raise ScalerError(f"the answer declares the type of {declared[1]} twice")
            types[declared[1]] = declared[2].strip().lower()
    return types, "\n".join([*samples, ""])


_TYPE_WORDS: Final = 3


def _selector(location: str) -> tuple[str, set[tuple[str, str]]]:
    found = _SELECTOR.fullmatch(location)
    if found is None:
        raise ScalerError(f'valueLocation {location}: expected a selector such as queue_size{{name="orders"}}')
    name, inner, labels = found[1] or "", found[2] or "", set()
    position = 0
    while inner[position:].strip():
        matcher = _MATCHER.match(inner, position)
        if matcher is None:
            raise ScalerError(f"valueLocation {location}: its matchers cannot be read")
        if matcher[1] is None:
            name = _unquoted(matcher[3])
        else:
            labels.add((matcher[1], _unquoted(matcher[3])))
        position = matcher.end()
    name = next((value for label, value in labels if label == "__name__"), name)
    if not name:
        raise ScalerError(f"valueLocation {location}: names no metric")
    return name, {(label, value) for label, value in labels if label != "__name__"}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), text)


_READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "json": from_json,
    "yaml": from_yaml,
    "xml": from_xml,
    "prometheus": from_prometheus,
}
