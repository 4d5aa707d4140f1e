"""The pod that the hub would make and the files of deploy/kubernetes, held against each other without a cluster."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pod_kit import (
    Peer,
    Thing,
    containers,
    find_unknown_fields,
    find_weaknesses,
    load_manifests,
    of_kind,
    reaches,
    read,
    selects,
    write_kubeconfig,
)
from traitlets.config import Config

from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.hub.config import configure
from sandbox.workspaces.hub.pod_gate import parse_arguments
from sandbox.workspaces.hub.pods import (
    HUB_NAME,
    HUB_PORT,
    IMAGE,
    PLATFORM_PORT,
    SERVER_PORT,
    PodSettings,
    describe_pod,
    make_pod_token,
)
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings, HubSettingsInvalid, parse_settings
from sandbox.workspaces.records.specs import FIRST_UID, FileSpecs, GrantedRelease, WorkspaceRefused, WorkspaceSpec
from shuzha.core.errors import Invalid
from shuzha.core.settings import load_settings as load_platform_settings
from shuzha.server.doctor import check_spawner

MANIFESTS = load_manifests()
SECRET = "a secret of a test only"


def make_spec(folder: Path, **changes: Any) -> WorkspaceSpec:
    values: dict[str, Any] = {
        "workspace": "w-one", "account": "u-zhao", "uid": FIRST_UID + 7, "home": folder / "homes" / "w-one",
        "releases": (
            GrantedRelease("insurance", folder / "releases" / "rel_1"), GrantedRelease("own", folder / "own" / "w-one"),
        ),
        "limits": Limits(memory_bytes=3 * 1024**3, cpu_percent=150, scratch_bytes=128 * 1024**2),
    }  # fmt: skip
    return WorkspaceSpec(**{**values, **changes})


def pod_settings(folder: Path) -> PodSettings:
    zones = ("releases", "shuzha-releases"), ("own", "shuzha-own"), ("homes", "shuzha-homes")
    return PodSettings("10.96.0.77", tuple((folder / name, claim) for name, claim in zones))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pods")
    for name in ("releases/rel_1", "own/w-one", "homes", "specs"):
        (folder / name).mkdir(parents=True)
    ControlsWriter(folder / "controls.json").start()
    return folder


def specs_of(folder: Path) -> FileSpecs:
    return FileSpecs(
        folder / "specs", release_root=folder / "releases", home_root=folder / "homes", own_root=folder / "own",
        controls=FileControls(folder / "controls.json"),
    )  # fmt: skip


def make_spawner(folder: Path, account: str = "u-zhao", workspace: str = "w-one") -> Any:
    from sandbox.workspaces.hub.kubernetes import WorkspacePodSpawner, configure_pods

    c = Config()
    configure_pods(c, specs_of(folder), pod_settings(folder), lambda: SECRET)
    user = SimpleNamespace(name=account, id=3, url=f"/user/{account}/", settings={})
    hub = SimpleNamespace(public_host="", url="http://hub", base_url="/hub/", api_url="http://hub:8081/hub/api")
    return WorkspacePodSpawner(
        config=c, user=user, hub=hub, _mock=True, api_token="tok-1", oauth_client_id="client",
        orm_spawner=SimpleNamespace(name=workspace, server=None),
    )  # fmt: skip


@pytest.fixture(scope="module")
def pod(folder: Path) -> Thing:
    """The manifest of a workspace's pod, as it would go to the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", write_kubeconfig())
        specs_of(folder).write(make_spec(folder))

        async def make() -> Thing:
            spawner = make_spawner(folder)
            manifest = await spawner.get_pod_manifest()
            made: Thing = spawner.api.api_client.sanitize_for_serialization(manifest)
            await spawner.api.api_client.close()
            return made

        return asyncio.run(make())


def named(pod: Thing, name: str) -> Thing:
    return next(one for one in containers(pod) if one["name"] == name)


def mounts(pod: Thing, name: str) -> dict[str, Thing]:
    return {mount["mountPath"]: mount for mount in named(pod, name)["volumeMounts"]}


def test_pod_has_every_hardening(pod: Thing) -> None:
    assert find_weaknesses(pod) == []
    assert {one["name"] for one in containers(pod)} == {"notebook", "kernels"}


def spec_of(pod: Thing) -> Thing:
    return pod["spec"]


REMOVALS: dict[str, Callable[[Thing], Any]] = {
    "gvisor": lambda pod: pod["spec"].pop("runtimeClassName"),
    "host users": lambda pod: pod["spec"].update(hostUsers=True),
    "host network": lambda pod: pod["spec"].update(hostNetwork=True),
    "shared processes": lambda pod: pod["spec"].update(shareProcessNamespace=True),
    "service links": lambda pod: pod["spec"].pop("enableServiceLinks"),
    "dns": lambda pod: pod["spec"].update(dnsPolicy="ClusterFirst"),
    "cluster token": lambda pod: pod["spec"].pop("automountServiceAccountToken"),
    "cluster account": lambda pod: pod["spec"].update(serviceAccountName="default"),
    "root": lambda pod: pod["spec"]["securityContext"].update(runAsUser=0),
    "non-root check": lambda pod: pod["spec"]["securityContext"].pop("runAsNonRoot"),
    "seccomp": lambda pod: pod["spec"]["securityContext"].pop("seccompProfile"),
    "host path": lambda pod: pod["spec"]["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "uncapped memory": lambda pod: pod["spec"]["volumes"].append({"name": "x", "emptyDir": {"medium": "Memory"}}),
    **{
        f"{name} {what}": (lambda pod, name=name, change=change: change(named(pod, name)))
        for name in ("notebook", "kernels")
        for what, change in {
            "escalation": lambda one: one["securityContext"].pop("allowPrivilegeEscalation"),
            "privileged": lambda one: one["securityContext"].update(privileged=True),
            "capability": lambda one: one["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
            "root file system": lambda one: one["securityContext"].pop("readOnlyRootFilesystem"),
            "container seccomp": lambda one: one["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            "memory limit": lambda one: one["resources"]["limits"].pop("memory"),
            "cpu request": lambda one: one["resources"]["requests"].pop("cpu"),
            "host port": lambda one: one.update(ports=[{"containerPort": 1, "hostPort": 1}]),
        }.items()
    },
    "writable release": lambda pod: mounts(pod, "kernels")["/data/insurance"].pop("readOnly"),
    "whole release zone": lambda pod: mounts(pod, "kernels")["/data/insurance"].pop("subPath"),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_a_pod_with_one_hardening_removed_is_caught(pod: Thing, name: str) -> None:
    weak = copy.deepcopy(pod)
    REMOVALS[name](weak)
    assert find_weaknesses(weak) != []


def test_server_has_no_data_and_kernels_have_no_hub(pod: Thing) -> None:
    server, kernels = mounts(pod, "notebook"), mounts(pod, "kernels")
    assert set(server) == {
        "/home/analyst", "/home/analyst/notebooks", "/tmp", "/gate/ipc", "/gate/jailer",
    }  # fmt: skip
    assert set(kernels) == {
        "/data/insurance", "/data/own", "/home/analyst", "/home/analyst/notebooks", "/tmp", "/dev/shm",
        "/job/sockets", "/gate/jailer", "/gate/platform",
    }  # fmt: skip
    assert server["/gate/ipc"]["readOnly"]
    assert server["/gate/jailer"]["readOnly"]
    assert server["/home/analyst/notebooks"]["subPath"] == "w-one/notebooks"
    assert kernels["/data/insurance"]["subPath"] == "rel_1"
    variables = {one["name"]: one.get("value", "") for one in named(pod, "kernels")["env"]}
    assert not any("JUPYTERHUB" in name for name in variables)
    assert "tok-1" not in str(named(pod, "kernels"))
    assert variables["SHUZHA_PLATFORM_TOKEN"] == make_pod_token(SECRET, "w-one")
    assert variables["SHUZHA_PLATFORM_TOKEN"] != make_pod_token(SECRET, "w-two")
    own = {one["name"] for one in named(pod, "notebook")["env"]}
    assert "JUPYTERHUB_API_TOKEN" in own
    assert not any("PLATFORM" in name for name in own)
    for one in containers(pod):
        assert "tok-1" not in str(one.get("command")) + str(one.get("args"))


def test_pod_comes_from_the_record(pod: Thing) -> None:
    assert pod["spec"]["securityContext"]["runAsUser"] == FIRST_UID + 7
    assert named(pod, "kernels")["resources"]["limits"]["memory"] == str(3 * 1024**3)
    assert named(pod, "kernels")["resources"]["limits"]["cpu"] == "1.5"
    assert pod["metadata"]["name"] == "workspace-w-one"
    assert pod["spec"]["hostAliases"] == [{"ip": "10.96.0.77", "hostnames": [HUB_NAME]}]
    assert named(pod, "notebook")["ports"][0]["containerPort"] == SERVER_PORT


async def test_request_changes_nothing_and_strangers_start_nothing(
    folder: Path, pod: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyterhub.spawner import SpawnException

    monkeypatch.setenv("KUBECONFIG", write_kubeconfig())
    spawner = make_spawner(folder)
    spawner.user_options = {"profile": "root", "image": "evil", "volumes": [{"hostPath": "/"}], "uid": 0}
    await spawner.load_user_options()
    again = spawner.api.api_client.sanitize_for_serialization(await spawner.get_pod_manifest())
    assert again["spec"] == pod["spec"]
    stranger = make_spawner(folder, account="u-sun")
    with pytest.raises(SpawnException, match="no open workspace"):
        await stranger.get_pod_manifest()
    ControlsWriter(folder / "controls.json").suspend("w-one", "held for a test")
    try:
        with pytest.raises(SpawnException, match="held for a test"):
            await spawner.get_pod_manifest()
        ended: list[bool] = []

        async def runs(self: Any) -> None:
            return None

        async def stop(now: bool = False) -> None:
            ended.append(now)

        monkeypatch.setattr("kubespawner.KubeSpawner.poll", runs)
        monkeypatch.setattr(spawner, "stop", stop)
        assert await spawner.poll() == 0
        assert ended == [True]
    finally:
        ControlsWriter(folder / "controls.json").resume("w-one")
    assert await spawner.poll() is None
    assert ended == [True]
    await spawner.api.api_client.close()


@pytest.mark.parametrize(
    "changes",
    [{"home": Path("/etc")}, {"releases": (GrantedRelease("x", Path("/var/raw")),)}, {"home": "homes"}],
    ids=["home elsewhere", "release elsewhere", "all homes"],
)
def test_folder_outside_the_claims_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    given = {n: folder / v if isinstance(v, str) else v for n, v in changes.items()}
    with pytest.raises(WorkspaceRefused, match="no volume"):
        describe_pod(make_spec(folder, **given), pod_settings(folder), "t")


# --- the files of deploy/kubernetes -------------------------------------------------------------------------------


def peers(pod: Thing) -> dict[str, Peer]:
    return {
        "workspace": Peer("shuzha-workspaces", pod["metadata"]["labels"]),
        "another workspace": Peer("shuzha-workspaces", {**pod["metadata"]["labels"], "shuzha/workspace": "w-two"}),
        "gate": Peer("shuzha", {"app.kubernetes.io/component": "platform"}),
        "another pod beside the gate": Peer("shuzha", {"app.kubernetes.io/component": "database"}),
        "cluster dns": Peer("kube-system", {"k8s-app": "kube-dns"}),
        "pod elsewhere": Peer("default", {"app.kubernetes.io/component": "platform"}),
        "ingress": Peer("ingress", {}),
        "internet": Peer("", None),
    }


OPEN = {
    ("gate", "workspace", SERVER_PORT),
    ("workspace", "gate", HUB_PORT),
    ("workspace", "gate", PLATFORM_PORT),
    ("another workspace", "gate", HUB_PORT),
    ("another workspace", "gate", PLATFORM_PORT),
    ("gate", "another workspace", SERVER_PORT),
}


def flows(manifests: list[Thing], pod: Thing) -> set[tuple[str, str, int]]:
    """Return every flow that starts or ends at a workspace and that the policies let pass."""
    known = peers(pod)
    return {
        (source, target, port)
        for source in known for target in known
        for port in (53, 80, 443, 2379, 6443, 8000, 8001, 8002, HUB_PORT, PLATFORM_PORT, SERVER_PORT)
        if source != target and {source, target} & {"workspace", "another workspace"}
        and reaches(manifests, known[source], known[target], port)
    }  # fmt: skip


def test_policies_leave_a_workspace_three_ways(pod: Thing) -> None:
    assert flows(MANIFESTS, pod) == OPEN
    assert not reaches(MANIFESTS, peers(pod)["workspace"], peers(pod)["cluster dns"], 53, "UDP")


def test_each_policy_of_the_workspaces_selects_the_pod(pod: Thing) -> None:
    labels = pod["metadata"]["labels"]
    for policy in of_kind(MANIFESTS, "NetworkPolicy"):
        selector, inside = policy["spec"]["podSelector"], policy["metadata"]["namespace"] == "shuzha-workspaces"
        name = policy["metadata"]["name"]
        if inside or name == "nothing-by-default":
            assert selects(selector, labels), name
        else:
            assert not selects(selector, labels), name


@pytest.mark.parametrize(
    "name",
    ["nothing-by-default", "workspaces-from-the-gate", "workspaces-to-the-platform", "platform-from-workspaces"],
)
def test_without_a_policy_flows_change(pod: Thing, name: str) -> None:
    """The control: each file is needed, for what it closes or for what it opens."""
    rest = [one for one in MANIFESTS if not (one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == name)]
    if name == "nothing-by-default":
        # The others select the pod by its labels: one without them is open where nothing is denied by default.
        stray = Peer("shuzha-workspaces", {})
        assert reaches(rest, stray, peers(pod)["internet"], 443)
        assert not reaches(MANIFESTS, stray, peers(pod)["internet"], 443)
    else:
        assert flows(rest, pod) < OPEN


def test_a_pod_with_other_labels_is_cut_off_not_let_loose(pod: Thing) -> None:
    renamed = {**pod, "metadata": {**pod["metadata"], "labels": {"app.kubernetes.io/component": "renamed"}}}
    assert flows(MANIFESTS, renamed) == set()


def test_hub_may_make_pods_there_and_nothing_else() -> None:
    (role,) = of_kind(MANIFESTS, "Role")
    assert of_kind(MANIFESTS, "ClusterRole") == of_kind(MANIFESTS, "ClusterRoleBinding") == []
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights == {("pods", verb) for verb in ("get", "list", "watch", "create", "delete")} | {
        ("events", verb) for verb in ("get", "list", "watch")
    }
    (binding,) = of_kind(MANIFESTS, "RoleBinding")
    (account,) = of_kind(MANIFESTS, "ServiceAccount")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "shuzha-workspaces"


def test_names_ports_and_sizes_agree(pod: Thing) -> None:
    (runtime,) = of_kind(MANIFESTS, "RuntimeClass")
    assert pod["spec"]["runtimeClassName"] == runtime["metadata"]["name"]
    claims = {one["metadata"]["name"]: one["spec"] for one in of_kind(MANIFESTS, "PersistentVolumeClaim")}
    used = {
        one["persistentVolumeClaim"]["claimName"]: one["persistentVolumeClaim"]["readOnly"]
        for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one
    }  # fmt: skip
    assert used == {"shuzha-releases": True, "shuzha-own": True, "shuzha-homes": False}
    assert {name: spec["accessModes"] == ["ReadOnlyMany"] for name, spec in claims.items()} == used
    (service,) = of_kind(MANIFESTS, "Service")
    assert [port["port"] for port in service["spec"]["ports"]] == [HUB_PORT, PLATFORM_PORT]
    assert selects({"matchLabels": service["spec"]["selector"]}, peers(pod)["gate"].labels or {})
    spaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in of_kind(MANIFESTS, "Namespace")}
    assert spaces["shuzha-workspaces"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod_settings(Path("/x")).namespace == "shuzha-workspaces"
    (limits,) = of_kind(MANIFESTS, "LimitRange")
    most = limits["spec"]["limits"][0]["max"]
    assert int(most["memory"].removesuffix("Gi")) * 1024**3 >= 3 * 1024**3
    (quota,) = of_kind(MANIFESTS, "ResourceQuota")
    assert quota["spec"]["hard"]["secrets"] == quota["spec"]["hard"]["services"] == "0"


async def test_every_field_is_one_that_kubernetes_knows(pod: Thing) -> None:
    for manifest in [*MANIFESTS, {**pod, "kind": "Pod"}]:
        assert await find_unknown_fields(manifest) == [], manifest["metadata"]["name"]
    misspelt = copy.deepcopy(next(one for one in MANIFESTS if one["kind"] == "NetworkPolicy"))
    misspelt["spec"]["egres"] = []
    assert await find_unknown_fields(misspelt) == [".spec.egres"]
    careless = copy.deepcopy({**pod, "kind": "Pod"})
    named(careless, "kernels")["securityContext"]["readonlyRootFilesystem"] = True
    assert await find_unknown_fields(careless) == [".spec.containers.securityContext.readonlyRootFilesystem"]


def test_image_has_the_places_that_a_read_only_root_needs(pod: Thing) -> None:
    file = read("Containerfile")
    for one in containers(pod):
        assert one["image"] == IMAGE
        for path in mounts(pod, one["name"]):
            place = "/data" if path.startswith("/data/") else path
            made = place in file or path in ("/tmp", "/dev/shm", "/home/analyst/notebooks")
            assert made, path
    for command in (named(pod, "notebook"), named(pod, "kernels")):
        assert str(command.get("command") or command.get("args")).count("/opt/env/bin/python") == 1


# --- one setting chooses ------------------------------------------------------------------------------------------


def hub_settings(folder: Path, **changes: Any) -> HubSettings:
    (folder / "token").write_text(SECRET)
    (folder / "token").chmod(0o600)
    names = ("state", "runtime", "specs", "releases", "homes", "controls", "usage", "environment")
    return HubSettings(
        "127.0.0.1", 8002, "http://sandbox.localhost:8002/", service_token_file=folder / "token",
        test_password="for a test", own=folder / "own",
        **{n: folder / n for n in names}, **changes,
    )  # fmt: skip


def test_one_setting_makes_pods_of_the_same_workspaces(folder: Path) -> None:
    jails, pods = Config(), Config()
    configure(jails, hub_settings(folder))
    settings = hub_settings(folder, spawner="kubernetes", pod_address="10.96.0.77")
    configure(pods, settings)
    assert jails.JupyterHub.spawner_class.__name__ == "BwrapSpawner"
    assert [service["name"] for service in jails.JupyterHub.services] == ["platform"]
    assert pods.JupyterHub.spawner_class.__name__ == "WorkspacePodSpawner"
    section = pods.WorkspacePodSpawner
    assert section.pod == pod_settings(folder)
    assert section.hub_connect_url == f"http://{HUB_NAME}:{HUB_PORT}"
    assert section.token_secret() == SECRET
    assert section.jailer_socket == str(settings.jailer_socket), "it prepares the homes of pods too"
    assert jails.BwrapSpawner.jailer_socket == str(settings.jailer_socket)
    gate = next(service for service in pods.JupyterHub.services if service["name"] == "pod-gate")
    given = parse_arguments(gate["command"][3:])
    assert (given.runtime, given.secret) == (settings.runtime, settings.service_token_file)
    assert SECRET not in str(gate)
    same = set(jails.BwrapSpawner) & set(section) - {"hub_connect_url", "specs"}
    assert len(same) >= 7
    assert {name: jails.BwrapSpawner[name] for name in same} == {name: section[name] for name in same}


@pytest.mark.parametrize("changes", [{"spawner": "docker"}, {"spawner": "kubernetes"},
                                     {"spawner": "kubernetes", "pod_address": "hub.shuzha.svc"}])  # fmt: skip
def test_a_spawner_that_could_not_work_is_refused_by_name(folder: Path, changes: dict[str, str]) -> None:
    parse_settings(hub_settings(folder, spawner="kubernetes", pod_address="fd00::7").to_json())
    with pytest.raises(HubSettingsInvalid, match=r"`spawner`|`pod_address`"):
        parse_settings(hub_settings(folder, **changes).to_json())


def test_platform_passes_the_setting_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"SHUZHA_DATA": str(tmp_path), "SHUZHA_SPAWNER": "kubernetes"}
    settings = load_platform_settings(tmp_path / "none.toml", given)
    monkeypatch.setenv("SHUZHA_PODS_SERVICE_HOST", "10.96.0.9")
    assert settings.address_for_pods == "10.96.0.9"
    assert load_platform_settings(
        tmp_path / "none.toml", {**given, "SHUZHA_POD_ADDRESS": "10.1.1.1"}
    ).address_for_pods == ("10.1.1.1")
    with pytest.raises(Invalid, match="spawner"):
        load_platform_settings(tmp_path / "none.toml", {**given, "SHUZHA_SPAWNER": "docker"})
    assert check_spawner(settings).ok
    monkeypatch.delenv("SHUZHA_PODS_SERVICE_HOST")
    assert not check_spawner(settings).ok
