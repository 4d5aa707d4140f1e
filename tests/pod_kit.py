"""Manifests without a cluster: what the spawner would send, what is missing in it, what network policies let pass."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from workspace_kit import ROOT

DEPLOY = ROOT / "deploy" / "kubernetes"
Thing = dict[str, Any]

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
    "users": [{"name": "nobody", "user": {}}],
}
"""A cluster that does not answer: the spawner's constructor reads one, and a manifest needs none."""


def write_kubeconfig() -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        yaml.safe_dump(KUBECONFIG, file)
    return file.name


def load_manifests() -> list[Thing]:
    """Return every object of deploy/kubernetes."""
    files = sorted(DEPLOY.glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]


def of_kind(manifests: list[Thing], kind: str) -> list[Thing]:
    return [one for one in manifests if one["kind"] == kind]


def containers(pod: Thing) -> list[Thing]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def find_weaknesses(pod: Thing) -> list[str]:
    """Return, in words, each hardening of the design that the pod's manifest lacks."""
    spec = pod["spec"]
    kinds = {kind for volume in spec["volumes"] for kind in volume} - {"name"}
    user = spec.get("securityContext", {})
    wanted: list[tuple[str, bool]] = [
        ("runs under gVisor", spec.get("runtimeClassName") == "gvisor"),
        ("users of its own", spec.get("hostUsers") is False),
        ("no network of the node", spec.get("hostNetwork") is False),
        ("no processes of the node", spec.get("hostPID") is False),
        ("no memory of the node", spec.get("hostIPC") is False),
        ("containers see each other's processes not", spec.get("shareProcessNamespace") is False),
        ("no names of services", spec.get("enableServiceLinks") is False),
        ("no DNS", spec.get("dnsPolicy") == "None" and spec["dnsConfig"]["nameservers"] == ["127.0.0.1"]),
        ("no token of the cluster", spec.get("automountServiceAccountToken") is False),
        ("no account of the cluster", not spec.get("serviceAccountName")),
        ("own user", user.get("runAsUser", 0) >= 200_000 and user.get("runAsGroup", 0) == user.get("runAsUser")),
        ("pod not root", user.get("runAsNonRoot") is True),
        ("pod's calls filtered", user.get("seccompProfile", {}).get("type") == "RuntimeDefault"),
        ("volumes of two kinds", kinds <= {"emptyDir", "persistentVolumeClaim"}),
        ("memory volumes capped", all(v["emptyDir"].get("sizeLimit") for v in spec["volumes"] if "emptyDir" in v)),
    ]  # fmt: skip
    for one in containers(pod):
        wanted += [(f"{one['name']}: {what}", holds) for what, holds in _of_container(one)]
    return [what for what, holds in wanted if not holds]


def _of_container(one: Thing) -> Iterator[tuple[str, bool]]:
    held = one.get("securityContext", {})
    yield "no more privileges", held.get("allowPrivilegeEscalation") is False
    yield "not privileged", held.get("privileged") is False
    yield "no capability", held.get("capabilities") == {"drop": ["ALL"]}
    yield "read-only root", held.get("readOnlyRootFilesystem") is True
    yield "not root", held.get("runAsNonRoot") is True
    yield "calls filtered", held.get("seccompProfile", {}).get("type") == "RuntimeDefault"
    for kind in ("limits", "requests"):
        for what in ("memory", "cpu", "ephemeral-storage"):
            yield f"{kind} of {what}", bool(one.get("resources", {}).get(kind, {}).get(what))
    data = [m for m in one["volumeMounts"] if m["mountPath"].startswith("/data/")]
    yield "data to be read only", all(m.get("readOnly") is True and m.get("subPath") for m in data)
    yield "no port of the node", not any(p.get("hostPort") for p in one.get("ports") or [])


@dataclass
class Peer:
    """A pod somewhere, or an address outside the cluster (`labels` None)."""

    namespace: str
    labels: dict[str, str] | None = field(default_factory=dict)


def selects(selector: Thing | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector matches; None matches nothing here, and {} everything."""
    if selector is None:
        return False
    assert set(selector) <= {"matchLabels"}, "this kit reads matchLabels only"
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def reaches(manifests: list[Thing], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Return whether policies let `source` open a connection to `port` of `target`, as Kubernetes defines it.

    A pod that no policy of a direction selects is open in it; else one rule must allow the connection.
    """
    namespaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in of_kind(manifests, "Namespace")}
    for own, other, direction, key in ((source, target, "Egress", "to"), (target, source, "Ingress", "from")):
        if own.labels is None:
            continue
        mine = [
            one["spec"] for one in of_kind(manifests, "NetworkPolicy")
            if one["metadata"]["namespace"] == own.namespace and direction in one["spec"]["policyTypes"]
            and selects(one["spec"]["podSelector"], own.labels)
        ]  # fmt: skip
        rules = [rule for policy in mine for rule in policy.get(direction.lower(), [])]
        peer_matches: Callable[[Thing], bool] = lambda peer, own=own, other=other: _matches(  # noqa: E731
            peer, own.namespace, other, namespaces
        )
        allowed = any(
            (key not in rule or any(peer_matches(peer) for peer in rule[key]))
            and any((p["protocol"], p["port"]) == (protocol, port) for p in rule["ports"])
            for rule in rules
        )
        if mine and not allowed:
            return False
    return True


def _matches(peer: Thing, own: str, other: Peer, namespaces: dict[str, dict[str, str]]) -> bool:
    if other.labels is None:
        return "ipBlock" in peer
    assert set(peer) <= {"namespaceSelector", "podSelector"}
    labels = namespaces.get(other.namespace, {"kubernetes.io/metadata.name": other.namespace})
    where = selects(peer["namespaceSelector"], labels) if "namespaceSelector" in peer else other.namespace == own
    return where and selects(peer.get("podSelector", {}), other.labels)


def read(path: str) -> str:
    return Path(DEPLOY / path).read_text()


MODELS = {
    "NetworkPolicy": "V1NetworkPolicy", "Namespace": "V1Namespace", "RuntimeClass": "V1RuntimeClass", "Role": "V1Role",
    "RoleBinding": "V1RoleBinding", "ServiceAccount": "V1ServiceAccount", "ResourceQuota": "V1ResourceQuota",
    "LimitRange": "V1LimitRange", "PersistentVolumeClaim": "V1PersistentVolumeClaim", "Service": "V1Service",
    "Pod": "V1Pod",
}  # fmt: skip


async def find_unknown_fields(manifest: Thing) -> list[str]:
    """Return the fields of an object that Kubernetes' own models do not have: a misspelt one would be ignored."""
    from kubernetes_asyncio import client

    api = client.ApiClient()
    try:
        said = SimpleNamespace(data=json.dumps(manifest))
        known = api.sanitize_for_serialization(api.deserialize(said, MODELS[manifest["kind"]]))
    finally:
        await api.close()
    return sorted(_fields(manifest) - _fields(known))


def _fields(value: Any, place: str = "") -> set[str]:
    if isinstance(value, dict):
        return {at for name, one in value.items() for at in {f"{place}.{name}", *_fields(one, f"{place}.{name}")}}
    if isinstance(value, list):
        return {at for one in value for at in _fields(one, place)}
    return set()
