"""A Ray cluster on this machine, in a process of its own: Ray reads at import whether it asks for a
token. Each line of input is the name of a node to be added; each line of output the pid of its
raylet. The first node is the head; its address comes first. The end of the input is the end of it.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """Serve standard input."""
    cluster = Cluster()
    for line in sys.stdin:
        node = cluster.add_node(
            node_name=line.strip(),
            num_cpus=1,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
        )
        print(cluster.address, node.all_processes["raylet"][0].process.pid, flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
