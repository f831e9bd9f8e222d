"""One Ray cluster for all tests: a head without CPUs and two nodes with one each, as processes of this machine."""

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segue.cluster.ray_cluster import RayCluster, connected


class TwoNodes:
    """A cluster whose nodes may be killed; ``mend`` starts others."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address
        self.mend()

    def mend(self) -> None:
        """Start nodes until there are two, and wait for them."""
        import ray

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]} if ray.is_initialized() else None
        for node in list(self._cluster.worker_nodes):
            if (alive is not None and node.node_id not in alive) or not node.any_processes_alive():
                self._cluster.worker_nodes.discard(node)
        while len(self._cluster.worker_nodes) < 2:
            self._cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        self._cluster.wait_for_nodes()


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'segue[cluster]'")
    from ray.cluster_utils import Cluster

    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        # Workers find the modules of the tests, and segue where this process found it.
        source = str(Path(__file__).parents[2] / "src")
        patch.setenv("PYTHONPATH", os.pathsep.join([source, here, str(Path(here).parent)]))
        patch.setenv("PYTHONOPTIMIZE", "")  # Ray does not start without asserts and docstrings.
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20},
        )
        yield TwoNodes(cluster)
        cluster.shutdown()


@pytest.fixture(scope="session")
def ray_cluster(nodes: TwoNodes) -> Iterator[RayCluster]:
    """The tests' connection to the cluster, which is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with connected(nodes.address) as cluster:
            yield cluster
    logging.getLogger("ray").handlers.clear()


@pytest.fixture
def two_nodes(nodes: TwoNodes, ray_cluster: RayCluster) -> RayCluster:
    """The connected cluster with two nodes, whatever an earlier test did to them."""
    nodes.mend()
    return ray_cluster
