"""Two nodes of one core each and a head without any, on this machine. A process of its own, because Ray leaves threads behind.

Prints its addresses as JSON, the second for Ray Client; then takes commands, one a line: `lose-node` ends one of the two nodes
with all its processes.
"""

import json
import os
import socket
import sys


def main():
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, wait=False) for _ in range(2)]
    cluster.wait_for_nodes()
    client = f"ray://{cluster.head_node.node_ip_address}:{port}"
    print(json.dumps({"address": cluster.address, "client": client}), flush=True)
    for line in sys.stdin:
        if line.strip() == "lose-node":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print(json.dumps({"nodes": len(nodes)}), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
