"""``python -m tests.controlplane.fields``: print `keda_py/devcluster/builtin.txt`, from Kubernetes' own declarations.

They are the Go modules that the control plane is built of; what is read are the types' fields: names, numbers in
protobuf, ``omitempty``, and the keys of lists. Defaults, which Kubernetes sets in code, stand here.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOTS: Final = (
    "Namespace", "Node", "Pod", "ConfigMap", "Secret", "ServiceAccount", "Service", "Event", "Deployment", "ReplicaSet",
    "StatefulSet", "Job", "HorizontalPodAutoscaler", "Lease", "EndpointSlice", "events.Event", "TokenRequest",
    "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SelfSubjectReview",
)  # fmt: skip
_PACKAGES: Final = {
    "k8s.io/api": ("core/v1", "apps/v1", "batch/v1", "autoscaling/v2", "coordination/v1", "discovery/v1", "events/v1",
                   "authentication/v1", "authorization/v1"),
    "k8s.io/apimachinery": ("pkg/apis/meta/v1",),
}  # fmt: skip
_SPECIAL: Final = {
    "resource.Quantity": "Quantity", "intstr.IntOrString": "IntOrString", "metav1.Time": "Time", "Time": "Time",
    "metav1.MicroTime": "MicroTime", "MicroTime": "MicroTime", "FieldsV1": "any", "types.UID": "string",
    "[]byte": "bytes", "string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "uint8": "int32",
    "ExtraValue": "any",
}  # fmt: skip
_VOLUMES: Final = ("Secret", "ConfigMap", "DownwardAPI", "Projected")
DEFAULTS: Final[dict[str, Any]] = {
    "Container.terminationMessagePath": "/dev/termination-log", "Container.terminationMessagePolicy": "File",
    "ContainerPort.protocol": "TCP", "ServicePort.protocol": "TCP", "PodSpec.restartPolicy": "Always",
    "PodSpec.dnsPolicy": "ClusterFirst", "PodSpec.schedulerName": "default-scheduler",
    "PodSpec.terminationGracePeriodSeconds": 30, "PodSpec.securityContext": {}, "Probe.timeoutSeconds": 1,
    "Probe.periodSeconds": 10, "Probe.successThreshold": 1, "Probe.failureThreshold": 3, "HTTPGetAction.path": "/",
    "HTTPGetAction.scheme": "HTTP", "ObjectFieldSelector.apiVersion": "v1", "HostPathVolumeSource.type": "",
    "ServiceAccountTokenProjection.expirationSeconds": 3600, "Secret.type": "Opaque",
    **{f"{name}VolumeSource.defaultMode": 420 for name in _VOLUMES},
}  # fmt: skip
_STRUCT: Final = re.compile(r"(?ms)((?:^//[^\n]*\n)*)^type (\w+) struct \{\n(.*?)^\}")
_ALIAS: Final = re.compile(r"(?m)^type (\w+) (string|map\[\w+\][\w.]+|\[\]\w+|int32)$")
_LINE: Final = re.compile(r"(?:\w+\s+)?(\S+)\s+`(.*)`")


@dataclass
class Declared:
    """All types, by name; those of events/v1 with ``events.`` before it, for core/v1 has some of these names."""

    structs: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def add(self, prefix: str, text: str) -> None:
        """Take in a file."""
        self.aliases |= dict(_ALIAS.findall(text))
        for comment, name, body in _STRUCT.findall(text):
            self.structs.setdefault(prefix + name, (prefix, comment, body))

    def type_of(self, prefix: str, text: str) -> tuple[str, str]:
        """Return how a Go type is written here, and the type within it."""
        pointer, go = "*" * text.startswith("*"), text.lstrip("*")
        shape = ""
        if go not in _SPECIAL and (found := re.fullmatch(r"(\[\]|map\[[\w.]+\])\*?(.+)", go)):
            shape, go = "[]" if found[1] == "[]" else "{}", found[2]
        name = go.split(".")[-1]
        if go in _SPECIAL:
            return pointer + shape + _SPECIAL[go], ""
        for known in (prefix + name, name):
            if known in self.structs:
                return pointer + shape + known, known
        inner, struct = self.type_of(prefix, self.aliases[name])
        return pointer + shape + inner, struct

    def line(self, name: str) -> tuple[str, list[str]]:
        """Return a type's line, and the types in it."""
        prefix, comment, body = self.structs[name]
        words, within = [name + "^" * ("+structType=atomic" in comment)], []
        said = ""
        for text in map(str.strip, body.splitlines()):
            if text.startswith("//"):
                said += text + "\n"
            elif found := _LINE.match(text):
                word, struct = self._field(name, prefix, found[1], dict(re.findall(r'(\w+):"([^"]*)"', found[2])), said)
                words.append(word)
                within.append(struct)
                said = ""
            else:
                said = ""
        if "TypeMeta" in body:
            words += ["kind=:string", "apiVersion=:string"]
        return " ".join(filter(None, words)), list(filter(None, within))

    def _field(self, owner: str, prefix: str, go: str, tags: dict[str, str], said: str) -> tuple[str, str]:
        name, _, options = tags.get("json", "").partition(",")
        if name == "-" or go.endswith("TypeMeta"):
            return "", ""
        number = [*tags.get("protobuf", "").split(","), ""][1]
        type_, struct = self.type_of(prefix, go)
        if "inline" in options:
            return f"+={number}:{type_}", struct
        return f"{name}={number}:{type_}{''.join(_flags(f'{owner}.{name}', type_, tags, options, said))}", struct


def _flags(place: str, type_: str, tags: dict[str, str], options: str, said: str) -> Iterator[str]:
    if "omit" not in options:
        yield "!"
    elif "omitzero" in options and type_ in ("Time", "MicroTime"):
        yield "?"
    keys = re.findall(r"\+listMapKey=(\w+)", said) or list(filter(None, [tags.get("patchMergeKey")]))
    if keys:
        yield "@" + ",".join(keys)
    if "+listType=set" in said:
        yield "&"
    if "retainKeys" in tags.get("patchStrategy", ""):
        yield "~"
    if "+mapType=atomic" in said or "+structType=atomic" in said:
        yield "^"
    if place in DEFAULTS:
        yield f"={json.dumps(DEFAULTS[place])}"


def table() -> str:
    """Return the lines, of all types that the roots are made of."""
    declared = Declared()
    for module, packages in _PACKAGES.items():
        folder = _folder(module)
        for package in packages:
            prefix = "events." if package == "events/v1" else ""
            declared.add(prefix, (folder / package / "types.go").read_text())
    lines: dict[str, str] = {}
    todo = list(ROOTS)
    while todo:
        name = todo.pop()
        if name not in lines:
            lines[name], within = declared.line(name)
            todo += within
    return "\n".join(lines[name] for name in sorted(lines)) + "\n"


def _folder(module: str) -> Path:
    go = shutil.which("go")
    if go is None:
        raise SystemExit("this reads the Go modules of the control plane: install Go")
    command = [go, "list", "-m", "-f", "{{.Dir}}", module]
    return Path(
        subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()
    )


if __name__ == "__main__":
    print(table(), end="")
