"""A Ray cluster of several nodes on this machine, as a process: tests tell it by lines what becomes of it.

    add NAME JSON              another node, the first of them the head: `gpus` as numbers, `type`, and its `env`
    drain NAME                 take a node away for others, as where it is preempted
    raylet NAME                kill what makes a node of its processes, which live on
    kill NAME                  kill all processes of a node
    quit                       the cluster's end

It answers each line with one of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ray.cluster_utils import Cluster


def main() -> None:
    """Serve until the end of the input."""
    cluster = Cluster()
    nodes: dict[str, Any] = {}
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        name, _, text = rest.partition(" ")
        if word == "add":
            asked = json.loads(text)
            nodes[name] = cluster.add_node(
                num_cpus=asked.get("cpus", 2),
                num_gpus=asked["gpus"],
                resources={f"accelerator_type:{asked['type']}": 1} if asked.get("type") else {},
                env_vars=asked["env"],
                include_dashboard=False,
            )
            print(cluster.address, flush=True)
        elif word == "drain":
            reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "preempted"]
            named = ["--address", cluster.address, "--node-id", nodes[name].node_id]
            ray = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", *named, *reason]
            subprocess.run([*ray, "--deadline-remaining-seconds", "60"], check=True, stdout=sys.stderr)
            print("drained", flush=True)
        elif word == "raylet":
            for process in nodes[name].all_processes["raylet"]:
                process.process.kill()
            print("killed", flush=True)
        elif word == "kill":
            cluster.remove_node(nodes.pop(name), allow_graceful=False)
            print("killed", flush=True)
        else:
            break
    cluster.shutdown()
    print("down", flush=True)


if __name__ == "__main__":
    main()
