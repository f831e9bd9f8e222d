"""Two hosts: network namespaces with a pair of virtual interfaces between them, and a folder that both see."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_tasks import executed

from partitioned_logs import make_log
from protocols.test_out_of_core import content, prepared
from segue.data.events import Events

HOSTS = {"segue-a": "10.213.77.1", "segue-b": "10.213.77.2"}
PORT = 6479
HERE = Path(__file__).parent
ENVIRONMENT = {
    # Workers find the modules of the tests; all nodes and the driver read the same token of this user.
    "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1] / "src", HERE, HERE.parent))),
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}
PREPARE = """
import sys
from pathlib import Path
from ray_tasks import CountedEngine
from partitioned_logs import make_log
from protocols.test_out_of_core import prepared_on_disk
from segue.cluster.ray_cluster import connected
from segue.data.events import Events

folder = Path(sys.argv[1])
with connected(sys.argv[2]) as cluster:
    engine = CountedEngine(folder / "work", cluster=cluster, record=folder / "record")
    prepared_on_disk(Events(make_log(1)), folder / "out", engine, 8)
"""


def ip(*arguments: str) -> str:
    """Run ``ip`` and return what it prints."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def on(host: str, *command: object) -> list[str]:
    """Return the command that runs another one on a host."""
    return ["ip", "netns", "exec", host, *map(str, command)]


def kill(host: str) -> None:
    for number in ip("netns", "pids", host).split():
        os.kill(int(number), signal.SIGKILL)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[str]:
    """Two hosts with a Ray node each; the address of their cluster."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'segue[cluster]'")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    ray = Path(sys.executable).with_name("ray")
    environment = {**os.environ, **ENVIRONMENT}
    try:
        ip("link", "add", "segue-a", "type", "veth", "peer", "name", "segue-b")
        for host, address in HOSTS.items():
            ip("netns", "add", host)
            ip("link", "set", host, "netns", host)
            subprocess.run(on(host, "ip", "addr", "add", f"{address}/24", "dev", host), check=True)
            for device in (host, "lo"):
                subprocess.run(on(host, "ip", "link", "set", device, "up"), check=True)
            if host == "segue-a":
                role = ["--head", "--port", PORT, "--include-dashboard=false"]
            else:
                role = ["--address", f"{HOSTS['segue-a']}:{PORT}"]
            start = on(host, ray, "start", "--node-ip-address", address, "--num-cpus=1", *role)
            with (tmp_path / f"{host}.log").open("w", encoding="utf-8") as stream:
                subprocess.run(start, env=environment, stdout=stream, stderr=stream, check=True, timeout=120)
        yield f"{HOSTS['segue-a']}:{PORT}"
    finally:
        for host in HOSTS:
            if (Path("/run/netns") / host).exists():
                kill(host)
                ip("netns", "delete", host)
        subprocess.run(["ip", "link", "delete", "segue-a"], check=False, capture_output=True)


@pytest.mark.soak
@pytest.mark.parametrize("killed", [False, True])
def test_same_bytes_on_two_hosts(killed: bool, tmp_path: Path, hosts: str) -> None:
    expected = prepared(Events(make_log(1)), tmp_path / "memory")
    command = on("segue-a", sys.executable, "-c", PREPARE, tmp_path, hosts)
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT})
    while process.poll() is None and killed:
        if len(executed(tmp_path / "record")) > 20:
            kill("segue-b")
            killed = False
        time.sleep(0.05)
    assert process.wait(timeout=300) == 0
    assert not killed
    assert content(tmp_path / "out") == expected
