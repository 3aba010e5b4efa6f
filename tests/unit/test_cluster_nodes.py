"""Which node of a cluster a case may have, and which nodes cannot be used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.cluster.nodes import (
    LITTLE,
    ClusterEligible,
    Node,
    Placement,
    eligible,
    place,
    same_type,
    unknown_products,
    usable,
)
from pytest_sgdiff.data import EngineInfo, Gpu, Machine, NodeTrouble
from pytest_sgdiff.errors import ClusterError

CPU = Machine(kind="cpu", product="AMD EPYC", count=2)


def node(name: str, gpus: int = 2, *, product: str = "NVIDIA H200", accelerator: str = "", host: str = "") -> Node:
    return Node(
        id=f"id-{name}",
        name=name,
        declared=gpus,
        cpus=4,
        accelerator=accelerator,
        gpus=tuple(Gpu(index=number, uuid=f"GPU-{name}{number}", name=product) for number in range(gpus)),
        cpu=CPU,
        host=host or f"host-{name}",
        engine=EngineInfo(command=("sglang",), version="0.5.17"),
    )


A, B, C = node("a"), node("b"), node("c", 4)


def asked(placement: Placement | None) -> tuple[dict[str, float], tuple[str, ...], str]:
    assert placement is not None
    return dict(placement.bundle), placement.among, placement.first


def test_a_case_is_placed_on_one_node_that_has_all_its_gpus() -> None:
    assert asked(place([A, B, C], 2)) == ({"GPU": 2.0}, ("id-a", "id-b", "id-c"), "")
    assert asked(place([A, B, C], 3)) == ({"GPU": 3.0}, ("id-c",), "")
    # Together they would have six.
    assert place([A, B], 3) is None


def test_a_case_without_gpus_asks_for_a_cpu() -> None:
    head = replace(node("head", 0), cpus=0)
    assert asked(place([head, A], 0)) == ({"CPU": 1.0}, ("id-a",), "")


def test_products_become_the_accelerator_type_of_the_nodes() -> None:
    old = node("old", product="NVIDIA A100-SXM4-80GB", accelerator="A100")
    new = [node("x", accelerator="H200"), node("y", accelerator="H200")]
    assert asked(place([old, *new], 1, products=["H200"])) == (
        {"GPU": 1.0, "accelerator_type:H200": LITTLE},
        ("id-x", "id-y"),
        "",
    )
    # One bundle asks for one type: that of most nodes.
    assert asked(place([old, *new], 1, products=["A100", "H200"]))[1] == ("id-x", "id-y")
    # Where Ray knows no type the driver's name decides, and the nodes are named.
    assert asked(place([node("old", product="NVIDIA A100"), A], 1, products=["H200"])) == ({"GPU": 1.0}, ("id-a",), "")
    # What Ray calls a node counts, where it does.
    assert place([node("a", accelerator="H100")], 1, products=["H200"]) is None


@pytest.mark.parametrize(
    ("word", "accelerator", "same"),
    [
        ("H200", "H200", True),
        ("h200", "H200", True),
        ("H20", "H200", False),
        ("RTX PRO 6000", "RTX-PRO-6000", True),
        ("A100", "A100-80G", True),
    ],
)
def test_words_of_cases_and_types_of_ray(word: str, accelerator: str, *, same: bool) -> None:
    assert same_type(word, accelerator) is same


def test_the_node_of_the_baseline_comes_first_by_its_gpus_or_else_by_its_host() -> None:
    def homes(machine: Machine) -> frozenset[str]:
        return frozenset({"host-a", "GPU-b1"})

    assert asked(place([A, B, C], 2, homes=homes))[2] == "id-b"
    assert asked(place([A, C], 2, homes=homes))[2] == "id-a"
    # It is the first to be asked, and not the only one.
    assert asked(place([A, C], 2, homes=homes))[1] == ("id-a", "id-c")
    assert asked(place([C], 2, homes=homes))[2] == ""


def test_of_several_kinds_of_machine_those_with_a_baseline_are_asked() -> None:
    other = node("other", product="NVIDIA H100")

    def homes(machine: Machine) -> frozenset[str] | None:
        return frozenset() if machine.product == "NVIDIA H200" else None

    assert asked(place([other, A], 1, homes=homes))[1] == ("id-a",)
    # One that has none anywhere may be measured on any.
    assert asked(place([other, A], 1))[1] == ("id-other", "id-a")


def test_a_case_that_lost_its_node_stays_on_machines_of_one_kind() -> None:
    other = node("other", product="NVIDIA H100")
    was = A.machine(2)
    assert asked(place([A, B, other], 2, machine_was=was, avoid=frozenset({"id-a"})))[1] == ("id-b",)
    assert place([A, other], 2, machine_was=was, avoid=frozenset({"id-a"})) is None


def test_a_word_that_is_no_type_of_ray_and_no_gpu_of_a_node_is_unknown() -> None:
    assert unknown_products([A], ["H200", "B200", "H2000"], ["B200", "A100-80G"]) == ("H2000",)


def troubled(name: str, gpus: int) -> Node:
    return replace(node(name, gpus), trouble=NodeTrouble(code="no-engine", node=name))


def test_a_node_with_gpus_that_cannot_launch_stops_a_run_and_one_without_is_left_out() -> None:
    assert usable([troubled("head", 0), A]) == (A,)
    for nodes in ([A, troubled("b", 2)], [troubled("head", 0)], []):
        with pytest.raises(ClusterError) as caught:
            usable(nodes)
        assert [one.node for one in caught.value.troubles] == [one.name for one in nodes if one.trouble]


def test_engines_of_two_versions_stop_a_run() -> None:
    other = replace(B, engine=EngineInfo(command=("sglang",), version="0.5.18"))
    with pytest.raises(ClusterError) as caught:
        usable([A, other])
    assert [(one.code, one.node, one.found, one.wanted) for one in caught.value.troubles] == [
        ("other-engine", "b", "0.5.18", "0.5.17")
    ]


def test_a_cluster_has_the_gpus_of_one_node_for_a_case_and_those_of_all_for_a_run() -> None:
    pool: ClusterEligible = eligible((A, C), spec="")
    assert (pool.size, pool.total, pool.of(["H100"]).size) == (4, 6, 0)
    assert pool.refusal(4) is None
    assert pool.refusal(5) is not None
    assert [machine.count for machine in pool.machines(2)] == [2]
    assert list(pool.machines(0)) == [CPU]
    bare = replace(node("bare", 0), declared=2, note="the driver does not answer")
    refusal = eligible((bare,), spec="").refusal(1)
    assert refusal is not None
    assert "the driver does not answer" in refusal
