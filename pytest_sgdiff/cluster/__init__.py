"""Leases and launches on the nodes of a Ray cluster (`--sgdiff-cluster`).

    pytest ── driver ──(Ray)── relay ── node ── the engine
    lease, source              on the node

What decides stays with pytest: commands, hooks, judging, baselines, reports. On the node a process of its own (`node`)
holds a lease and launches, with the same launcher and watch as without a cluster, and never sees Ray. `relay` is what
Ray runs there; `driver` is the process that talks to Ray for pytest, since Ray ends a process that loses its cluster.
Both only pass messages on. `nodes` is pure: which node a case may have.
"""
