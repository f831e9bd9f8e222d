"""A model fitted on Ray has the bytes of one fitted in memory and on disk, also if a node is killed meanwhile."""

from pathlib import Path

import pytest
from ray_tasks import CountedEngine, executed

from fitted_in_ranges import configured, fitted, fitted_on
from segue.cluster.ray_cluster import RayCluster
from segue.data.partitions import OnDisk
from segue.data.synthetic import shop


def step_named(folder: Path, name: str) -> int:
    (step,) = folder.glob(f"*-{name}")
    return int(step.name[:4])


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("v-sknn", False),
        *(pytest.param(name, after, marks=pytest.mark.soak) for name in ("v-sknn", "vstan") for after in (False, True)),
    ],
)
def test_an_index_built_while_a_node_is_killed(name: str, after: bool, tmp_path: Path, two_nodes: RayCluster) -> None:
    events, config = shop(300, 0), configured(name)
    expected = fitted(events, config, tmp_path / "memory")
    assert fitted_on(OnDisk(tmp_path / "disk-work"), events, config, tmp_path / "disk", 3) == expected
    step = step_named(tmp_path / "disk-work", "index_range")
    engine = CountedEngine(
        tmp_path / "work", cluster=two_nodes, record=tmp_path / "record", kill_step=step, after=after
    )
    assert fitted_on(engine, events, config, tmp_path / "ray", 3) == expected
    assert (tmp_path / f"killed-{step}").exists()
    ran = [task for task in executed(tmp_path / "record") if "index_range" in task]
    assert len(set(ran)) == 3
    assert len(ran) - 3 <= after
