"""A cluster of one node for tests: answers the few calls that KubeSpawner makes, and runs a pod's containers.

A container is a bubblewrap sandbox made from the manifest: its command, variables, user, volumes with their sub-paths
and read-only marks, its own processes. Containers of a pod share the host's network, as those of a real pod share one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from pod_kit import KUBECONFIG, Thing
from ports_kit import free_port
from workspace_kit import ENVIRONMENT, ROOT

INSIDE = ROOT / "sandbox" / "workspaces" / "jails" / "inside"


class Cluster:
    """Pods by name, whoever watches them, and the processes of their containers; `claims` are folders of this host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims: dict[str, Path] = {}
        self.pods: dict[str, Thing] = {}
        self.asked: list[str] = []
        self._running: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._watchers: list[tuple[str, asyncio.Queue[Thing]]] = []

    def app(self) -> web.Application:
        app = web.Application()
        place = "/api/v1/namespaces/{namespace}"
        app.router.add_get(place + "/{kind}", self._list)
        app.router.add_post(place + "/pods", self._create)
        app.router.add_delete(place + "/pods/{name}", self._delete)
        return app

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"list {request.match_info['kind']}")
        pods = list(self.pods.values()) if request.match_info["kind"] == "pods" else []
        if request.query.get("watch") is None:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": pods})
        answer = web.StreamResponse()
        await answer.prepare(request)
        news: asyncio.Queue[Thing] = asyncio.Queue()
        self._watchers.append((request.match_info["kind"], news))
        for pod in pods:
            news.put_nowait({"type": "ADDED", "object": pod})
        while item := await news.get():
            await answer.write(json.dumps(item).encode() + b"\n")
        return answer

    def close(self) -> None:
        """Let every watcher go."""
        for _, watcher in self._watchers:
            watcher.put_nowait({})

    async def _create(self, request: web.Request) -> web.Response:
        pod: Thing = await request.json()
        name = pod["metadata"]["name"]
        self.asked.append(f"create {name}")
        space = request.match_info["namespace"]
        pod["metadata"] |= {"uid": f"uid-of-{name}", "namespace": space, "resourceVersion": "2"}
        self.pods[name] = pod
        self._running[name] = [self._run(pod, one) for one in pod["spec"]["containers"]]
        states = [
            {
                "name": one["name"], "ready": True, "state": {"running": {}}, "restartCount": 0,
                "image": one["image"], "imageID": one["image"],
            }
            for one in pod["spec"]["containers"]
        ]  # fmt: skip
        pod["status"] = {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": states}
        self._tell("ADDED", pod)
        return web.json_response(pod, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(f"delete {name}")
        pod = self.pods.pop(name, None)
        if pod is None:
            return web.json_response({"kind": "Status", "message": "there is none", "code": 404}, status=404)
        self.end(name)
        self._tell("DELETED", pod)
        return web.json_response(pod)

    def end(self, name: str) -> None:
        for process in self._running.pop(name, []):
            process.kill()
            process.wait(timeout=5)

    def end_all(self) -> None:
        for name in list(self._running):
            self.end(name)

    def lives(self, name: str) -> bool:
        return any(process.poll() is None for process in self._running.get(name, []))

    def _tell(self, kind: str, pod: Thing) -> None:
        for watched, watcher in self._watchers:
            if watched == "pods":
                watcher.put_nowait({"type": kind, "object": pod})

    def _run(self, pod: Thing, container: Thing) -> subprocess.Popen[bytes]:
        spec = pod["spec"]
        user = spec["securityContext"]["runAsUser"]
        hosts = self.folder / "hosts"
        hosts.write_text("".join(f"{alias['ip']} {' '.join(alias['hostnames'])}\n" for alias in spec["hostAliases"]))
        command = [
            "bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent",
            "--new-session", "--cap-drop", "ALL", "--clearenv", "--uid", str(user), "--gid", str(user),
            "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--ro-bind", str(ENVIRONMENT), "/opt/env", "--proc", "/proc",
            "--dev", "/dev", "--ro-bind", str(INSIDE), "/etc/jupyter", "--ro-bind", str(hosts), "/etc/hosts",
        ]  # fmt: skip
        for mount in sorted(container["volumeMounts"], key=lambda one: one["mountPath"]):
            place = self._volume(pod, mount["name"]) / mount.get("subPath", "")
            assert place.is_dir(), f"{place} must be there before: a cluster would make it as root's"
            command += ["--ro-bind" if mount.get("readOnly") else "--bind", str(place), mount["mountPath"]]
        for one in container["env"]:
            command += ["--setenv", one["name"], one.get("value", "")]
        command += ["--remount-ro", "/", "--chdir", container["workingDir"], "--"]
        command += (container.get("command") or []) + (container.get("args") or [])
        with (self.folder / f"{container['name']}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={}, cwd="/",
                user=user, group=user, extra_groups=[], umask=0o077,
            )  # fmt: skip

    def _volume(self, pod: Thing, name: str) -> Path:
        volume = next(one for one in pod["spec"]["volumes"] if one["name"] == name)
        if "persistentVolumeClaim" in volume:
            return self.claims[volume["persistentVolumeClaim"]["claimName"]]
        place = self.folder / pod["metadata"]["name"] / name
        place.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o711)
        place.chmod(0o777)
        return place


@contextmanager
def running_cluster() -> Iterator[tuple[Cluster, str]]:
    """Give a cluster that answers and the path of a kubeconfig for it; end all its containers afterwards."""
    loop = asyncio.new_event_loop()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        cluster = Cluster(folder)
        runner = web.AppRunner(cluster.app(), handle_signals=False, shutdown_timeout=0.1)

        async def serve() -> None:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()

        loop.run_until_complete(serve())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        config: dict[str, Any] = json.loads(json.dumps(KUBECONFIG))
        config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"
        (folder / "kubeconfig").write_text(json.dumps(config))
        try:
            yield cluster, os.fspath(folder / "kubeconfig")
        finally:
            cluster.end_all()
            loop.call_soon_threadsafe(cluster.close)
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()
