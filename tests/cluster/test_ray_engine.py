"""A data set prepared on Ray has the bytes of one prepared in memory, also if a node is killed meanwhile."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ray_tasks import CountedEngine, executed, step_of

from partitioned_logs import make_log
from protocols.test_out_of_core import LOGS, PROTOCOLS, content, prepared, prepared_on_disk
from segue.cluster.ray_cluster import RayCluster, connected
from segue.cluster.ray_engine import RayEngine
from segue.data.events import Events
from segue.errors import ParameterError, UnknownNameError

FEW = [("integers", "default"), ("given, shared ids", "labeled"), ("no times", "leave-one-out")]
ALL = [(log, protocol) for log in LOGS for protocol in PROTOCOLS if (log, protocol) not in FEW]


def assert_same_bytes(log: str, protocol: str, counts: tuple[int, ...], folder: Path, cluster: RayCluster) -> None:
    events = LOGS[log]()
    expected = prepared(events, folder / "memory", **PROTOCOLS[protocol])
    for partitions in counts:
        engine = RayEngine(folder / f"work-{partitions}", cluster=cluster)
        out = folder / f"ray-{partitions}"
        assert prepared_on_disk(events, out, engine, partitions, **PROTOCOLS[protocol]) == expected


@pytest.mark.parametrize(("log", "protocol"), FEW)
def test_same_bytes_on_ray(log: str, protocol: str, tmp_path: Path, two_nodes: RayCluster) -> None:
    assert_same_bytes(log, protocol, (3,), tmp_path, two_nodes)


@pytest.mark.soak
@pytest.mark.parametrize(("log", "protocol"), ALL)
def test_same_bytes_of_every_log_on_ray(log: str, protocol: str, tmp_path: Path, two_nodes: RayCluster) -> None:
    assert_same_bytes(log, protocol, (1, 3, 8), tmp_path, two_nodes)


def prepare_counted(folder: Path, cluster: RayCluster, **options: Any) -> tuple[Any, list[str]]:
    engine = CountedEngine(folder / "work", cluster=cluster, record=folder / "record", **options)
    folder.mkdir()
    found = prepared_on_disk(Events(make_log(1)), folder / "out", engine, 3)
    return found, executed(folder / "record")


def assert_survives(step: int, after: bool, tmp_path: Path, cluster: RayCluster) -> None:
    expected = prepared(Events(make_log(1)), tmp_path / "memory")
    found, ran = prepare_counted(tmp_path / "killed", cluster, kill_step=step, after=after)
    assert (tmp_path / f"killed/killed-{step}").exists()
    assert found == expected
    # Only what ran on the node may have run twice: one task, as each node has one CPU.
    assert len(ran) - len(set(ran)) <= 1
    assert all(step_of(Path(task)) == step for task in ran if ran.count(task) > 1)


def test_a_killed_node(tmp_path: Path, two_nodes: RayCluster) -> None:
    assert_survives(3, True, tmp_path, two_nodes)


def steps_of(folder: Path) -> int:
    return len(list(folder.iterdir()))


@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True])
def test_a_node_killed_in_each_step(after: bool, tmp_path: Path, nodes: Any, two_nodes: RayCluster) -> None:
    prepare_counted(tmp_path / "all", two_nodes)
    for step in range(steps_of(tmp_path / "all/work")):
        nodes.mend()
        (tmp_path / str(step)).mkdir()
        assert_survives(step, after, tmp_path / str(step), two_nodes)


def test_errors_arrive_as_they_are(tmp_path: Path, two_nodes: RayCluster) -> None:
    log, cleaning = Events(make_log(1).drop("part")), {"min_length": 10_000}
    expected = prepared(log, tmp_path / "memory", cleaning=cleaning)
    assert isinstance(expected, str)
    engine = RayEngine(tmp_path / "work", cluster=two_nodes)
    assert prepared_on_disk(log, tmp_path / "ray", engine, 3, cleaning=cleaning) == expected


def fail(number: int) -> None:
    if number == 2:
        raise UnknownNameError("model", "gru", ["gru4rec"])


def where(number: int) -> tuple[int, str, str, str]:
    return number, str(Path.cwd()), os.environ["POLARS_MAX_THREADS"], os.environ["OMP_NUM_THREADS"]


def test_the_error_of_a_task(two_nodes: RayCluster) -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'gru': did you mean") as raised:
        list(two_nodes.run(fail, [{"number": number} for number in range(20)], {}))
    assert raised.value.__cause__ is None


def fail_or_write(number: int, file: Path) -> None:
    if number:
        fail(2)
    time.sleep(1)
    file.touch()


def test_nothing_is_written_after_an_error(tmp_path: Path, two_nodes: RayCluster) -> None:
    with pytest.raises(UnknownNameError):
        list(two_nodes.run(fail_or_write, [{"number": 0}, {"number": 1}], {"file": tmp_path / "late"}))
    assert (tmp_path / "late").exists()


def test_many_errors_leave_the_driver_alive(two_nodes: RayCluster) -> None:
    """Ray 2.60 aborts a process that cancels a task in the moment in which it ends."""
    for _ in range(50):
        with pytest.raises(UnknownNameError):
            list(two_nodes.run(fail, [{"number": number} for number in range(6)], {}))


def test_workers_have_one_thread_and_the_folder_of_the_driver(two_nodes: RayCluster) -> None:
    found = list(two_nodes.map(where, [{"number": number} for number in range(5)], {}))
    threads = os.environ.get("OMP_NUM_THREADS", "1")  # Ray leaves it as it is.
    assert found == [(number, str(Path.cwd()), "1", threads) for number in range(5)]


def test_a_folder_that_another_node_does_not_see(tmp_path: Path, two_nodes: RayCluster) -> None:
    class Elsewhere(RayEngine):
        def _run_all(self, tasks: Any) -> Any:
            self.folder.rename(tmp_path / "moved")
            return super()._run_all(tasks)

    with pytest.raises(ParameterError, match="--out: must be in a folder that all nodes of the cluster share"):
        Elsewhere(tmp_path / "work", cluster=two_nodes).map(where, [{"number": 1}])


DRIVER = """
import sys
from pathlib import Path
from ray_tasks import CountedEngine
from partitioned_logs import make_log
from protocols.test_out_of_core import prepared_on_disk
from segue.cluster.ray_cluster import connected
from segue.data.events import Events

folder, address, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with connected(address) as cluster:
    engine = CountedEngine(folder / "work", cluster=cluster, record=folder / "record", kill_driver=step)
    prepared_on_disk(Events(make_log(1)), folder / "out", engine, 3)
"""


def assert_survives_its_driver(step: int, folder: Path, address: str) -> None:
    expected = prepared(Events(make_log(1)), folder / "memory")
    killed = folder / "killed"
    killed.mkdir()

    def drive(kill: int) -> int:
        command = [sys.executable, "-c", DRIVER, killed, address, kill]
        return subprocess.run([*map(str, command)], check=False, timeout=300).returncode

    assert drive(step) == -signal.SIGKILL
    finished = [file.relative_to(killed / "work").with_suffix("") for file in killed.glob("work/*/*.json")]
    before = executed(killed / "record")
    assert max(map(step_of, finished)) == step
    assert drive(-1) == 0
    assert content(killed / "out") == expected
    assert not {*map(str, finished)} & {*executed(killed / "record")[len(before) :]}


@pytest.mark.parametrize("step", [2])
def test_a_killed_driver(step: int, tmp_path: Path, nodes: Any, two_nodes: RayCluster) -> None:
    assert_survives_its_driver(step, tmp_path, nodes.address)


@pytest.mark.soak
def test_a_driver_killed_in_each_step(tmp_path: Path, nodes: Any, two_nodes: RayCluster) -> None:
    prepare_counted(tmp_path / "all", two_nodes)
    for step in range(steps_of(tmp_path / "all/work")):
        (tmp_path / str(step)).mkdir()
        assert_survives_its_driver(step, tmp_path / str(step), nodes.address)


def test_a_connection_of_the_user_is_kept(two_nodes: RayCluster) -> None:
    import ray

    with connected("ray"):
        pass
    assert ray.is_initialized()


class StalledRay:
    """Stands for Ray on a cluster whose last node is gone for the first two looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def put(self, value: Any) -> Any:
        return value

    def get(self, value: Any) -> Any:
        return value

    def remote(self, common: Any, own: dict[str, Any]) -> str:
        return f"result {own['number']}"

    def options(self, **_: Any) -> Any:
        return self

    def cluster_resources(self) -> dict[str, float]:
        return {"memory": 1.0} if self.looks else {"CPU": 1.0}

    def wait(self, references: list[str], **_: Any) -> tuple[list[str], list[str]]:
        if self.looks:
            self.looks -= 1
            return [], references
        return references[:1], references[1:]


@pytest.mark.parametrize(("looks", "times"), [(0, 0), (3, 1)])
def test_a_cluster_without_nodes_is_waited_for_and_named(
    looks: int, times: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray = StalledRay(looks)
    monkeypatch.setattr(RayCluster, "_result", lambda self, reference, function: reference)
    found = list(RayCluster(ray, ray).map(len, [{"number": 1}, {"number": 2}], {}))
    assert found == ["result 1", "result 2"]
    line = "no node of the Ray cluster has a CPU: the work goes on when a node joins it"
    assert [record.message for record in caplog.records].count(line) == times
