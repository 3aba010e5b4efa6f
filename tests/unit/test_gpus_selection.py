"""What `--sgdiff-gpus` and CUDA_VISIBLE_DEVICES pick, and what is said about values that pick nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.errors import LeaseError, OptionError
from pytest_sgdiff.gpus.nvml_file import FileReader
from pytest_sgdiff.gpus.selection import Eligible, Sight, parse, resolve, sight, visible_gpus

DATA = Path(__file__).parents[1] / "data" / "nvml"
GPUS = tuple(Gpu(index=index, uuid=f"GPU-{letter * 4}-0001", name="NVIDIA H200") for index, letter in enumerate("abcd"))
SLICES = (
    Gpu(index=0, uuid="MIG-1111", name="NVIDIA H200", mig_profile="1g.18gb"),
    Gpu(index=0, uuid="MIG-2222", name="NVIDIA H200", mig_profile="1g.18gb"),
)


def machine(tmp_path: Path, change: object = None) -> FileReader:
    content = json.loads((DATA / "h200-x4.json").read_text())
    if callable(change):
        change(content)
    path = tmp_path / "nvml.json"
    path.write_text(json.dumps(content))
    return FileReader(str(path))


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1, 2, 3]),
        ("2,3", [2, 3]),
        ("3,2", [3, 2]),
        ("GPU-bbbb", [1]),
        ("GPU-BBBB-0001, 0", [1, 0]),
        ("0,-1,2", [0]),
        ("0,9,2", [0]),
        ("GPU-", []),
        ("1,1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices_as_cuda_reads_it(visible: str | None, indices: list[int]) -> None:
    assert [gpu.index for gpu in visible_gpus(GPUS, visible)] == indices


@pytest.mark.parametrize(
    ("spec", "visible", "indices", "budget"),
    [
        ("all", None, [0, 1, 2, 3], None),
        ("all", "2,3", [2, 3], None),
        ("2", None, [0, 1, 2, 3], 2),
        ("4", None, [0, 1, 2, 3], 4),
        ("0,2", None, [0, 2], None),
        ("idx:1", "2,3", [3], None),
        ("idx:0", "3,2", [3], None),
        ("0,1", "3,2", [3, 2], None),
        ("GPU-cccc", None, [2], None),
        ("GPU-cccc-0001,GPU-aaaa", None, [2, 0], None),
        ("none", None, [], 0),
        ("0", None, [], 0),
    ],
)
def test_specs_pick_within_what_the_caller_sees(
    spec: str, visible: str | None, indices: list[int], budget: int | None
) -> None:
    eligible = parse(spec, GPUS, visible)
    assert ([gpu.index for gpu in eligible.gpus], eligible.budget) == (indices, budget)


@pytest.mark.parametrize(
    ("spec", "visible", "message"),
    [
        (
            "8",
            None,
            "--sgdiff-gpus=8 asks for 8 GPUs, but this machine has 4; ask for at most 4, or for `all`",
        ),
        (
            "2",
            "3",
            (
                "--sgdiff-gpus=2 asks for 2 GPUs, but 1 is visible to this job (CUDA_VISIBLE_DEVICES=3); "
                "ask for at most 1, or for `all`"
            ),
        ),
        (
            "1",
            "",
            (
                "--sgdiff-gpus=1 asks for 1 GPU, but none is visible to this job (CUDA_VISIBLE_DEVICES is empty); "
                "`all` runs the cases that need none"
            ),
        ),
        (
            "0,4",
            None,
            "--sgdiff-gpus=0,4: there is no GPU at position 4; this machine has 4, at the positions 0 to 3",
        ),
        (
            "idx:1",
            "2",
            (
                "--sgdiff-gpus=idx:1: there is no GPU at position 1; 1 is visible to this job "
                "(CUDA_VISIBLE_DEVICES=2), at position 0"
            ),
        ),
        ("1,1", None, "--sgdiff-gpus=1,1 names GPU 1 twice; name each GPU once"),
        (
            "GPU-aaaa",
            "2,3",
            (
                "--sgdiff-gpus=GPU-aaaa: GPU-aaaa is on this machine but hidden from this job; "
                "2 are visible to this job (CUDA_VISIBLE_DEVICES=2,3)"
            ),
        ),
        (
            "GPU-",
            "2,3",
            (
                "--sgdiff-gpus=GPU-: GPU- begins the UUIDs of several GPUs (GPU-cccc-0001, GPU-dddd-0001); "
                "write more characters"
            ),
        ),
        (
            "GPU-zzz",
            "2",
            "--sgdiff-gpus=GPU-zzz: no GPU has a UUID that begins with GPU-zzz; there are: GPU-cccc-0001",
        ),
        (
            "four",
            None,
            (
                "--sgdiff-gpus=four is not understood; write a number of GPUs (4), `all`, `auto`, `none`, "
                "positions (0,1 or idx:0) or UUIDs (GPU-...)"
            ),
        ),
        (
            "-1",
            None,
            (
                "--sgdiff-gpus=-1 is not understood; write a number of GPUs (4), `all`, `auto`, `none`, "
                "positions (0,1 or idx:0) or UUIDs (GPU-...)"
            ),
        ),
    ],
)
def test_a_wrong_spec_says_what_there_is_and_what_to_write(spec: str, visible: str | None, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(spec, GPUS, visible)
    assert str(caught.value) == message


def test_mig_slices_are_taken_only_by_name_and_never_together() -> None:
    everything = GPUS[1:] + SLICES
    assert [gpu.uuid for gpu in parse("all", everything, None).gpus] == [gpu.uuid for gpu in GPUS[1:]]
    by_option = parse("MIG-1111,MIG-2222", everything, None)
    by_variable = parse("all", everything, "MIG-2222,1")
    assert by_option.gpus == SLICES
    assert [gpu.uuid for gpu in by_variable.gpus] == ["MIG-2222", GPUS[1].uuid]
    assert by_option.refusal(1) is None
    assert by_option.refusal(2) == "needs 2 GPUs, and MIG slices cannot be combined"


def test_a_case_that_is_too_wide_is_told_so() -> None:
    assert parse("2", GPUS, None).refusal(2) is None
    assert parse("2", GPUS, None).refusal(4) == "needs 4 GPUs, and --sgdiff-gpus=2 gives only 2 of them"
    assert parse("none", GPUS, None).refusal(1) == "needs 1 GPU, and --sgdiff-gpus=none gives none of them"
    assert parse("none", GPUS, None).refusal(0) is None
    assert parse("all", GPUS, "").refusal(1) == (
        "needs 1 GPU, and --sgdiff-gpus=all gives none of them: "
        "none is visible to this job (CUDA_VISIBLE_DEVICES is empty)"
    )


def test_no_driver_is_an_error_for_a_number_and_a_note_for_all(tmp_path: Path) -> None:
    def no_driver(content: dict[str, object]) -> None:
        content["error"] = "NVML Shared Library Not Found"

    reader = machine(tmp_path, no_driver)
    with pytest.raises(LeaseError) as caught:
        resolve("4", visible="", reader=reader)
    assert str(caught.value) == (
        "--sgdiff-gpus=4: no GPU was found: the NVIDIA driver does not answer (NVML Shared Library Not Found)"
    )
    assert resolve("all", visible="", reader=reader).note == (
        "no GPU was found: the NVIDIA driver does not answer (NVML Shared Library Not Found)"
    )


def test_none_does_not_ask_the_driver() -> None:
    assert resolve("none", reader=FileReader("/does/not/exist")).size == 0


def test_a_driver_without_gpus_says_so(tmp_path: Path) -> None:
    reader = machine(tmp_path, lambda content: content["gpus"].clear())
    with pytest.raises(LeaseError) as caught:
        resolve("1", visible=None, reader=reader)
    assert str(caught.value) == (
        "--sgdiff-gpus=1: no GPU was found: the NVIDIA driver 580.159.04 answers, but lists no GPU; "
        "check that nvidia-smi lists one, and that the container was started with GPUs (docker run --gpus all); "
        "--sgdiff-gpus=none runs the cases that need no GPU"
    )


def test_auto_leaves_out_what_is_busy_now_and_hands_the_same_gpus_to_workers(tmp_path: Path) -> None:
    def busy(content: dict[str, list[dict[str, object]]]) -> None:
        content["gpus"][1]["processes"] = [{"pid": 419, "name": "/usr/bin/python3", "used_mb": 1002}]
        content["gpus"][2]["state"]["used_mb"] = 900
        content["gpus"][3]["state"]["util_pct"] = 40

    eligible = resolve("auto", visible="0,1,2,3", reader=machine(tmp_path, busy))
    assert [gpu.index for gpu in eligible.gpus] == [0]
    assert eligible.note == (
        "GPU 1 is busy (process 419 (python3, 1002 MiB)); "
        "GPU 2 is busy (900 MiB held by processes that the driver does not list); GPU 3 is busy (40 % utilisation)"
    )
    assert eligible.handoff == "GPU-00000000-0000-4000-8000-00000000000a"


def test_gpus_in_exclusive_mode_are_left_out(tmp_path: Path) -> None:
    def exclusive(content: dict[str, list[dict[str, dict[str, object]]]]) -> None:
        content["gpus"][0]["facts"]["compute_mode"] = 3

    reader = machine(tmp_path, exclusive)
    assert [gpu.index for gpu in resolve("all", visible="0,1", reader=reader).gpus] == [1]
    with pytest.raises(OptionError) as caught:
        resolve("2", visible="0,1", reader=reader)
    assert str(caught.value) == (
        "--sgdiff-gpus=2 asks for 2 GPUs, but only 1 can be used: GPU 0 is not used "
        "(compute mode EXCLUSIVE_PROCESS, in which the engine's workers fail: nvidia-smi -c 0)"
    )


def test_an_nvswitch_fabric_that_is_not_ready_stops_only_wide_cases(tmp_path: Path) -> None:
    def not_ready(content: dict[str, list[dict[str, dict[str, object]]]]) -> None:
        content["gpus"][1]["facts"]["fabric_state"] = 2

    eligible = resolve("all", visible="0,1", reader=machine(tmp_path, not_ready))
    assert eligible.refusal(1) is None
    assert eligible.refusal(2) == (
        "needs 2 GPUs, and the NVSwitch fabric of GPU 1 is not ready (state 2): systemctl status nvidia-fabricmanager"
    )


def test_another_order_than_the_pci_bus_is_refused(tmp_path: Path) -> None:
    def swapped(content: dict[str, list[dict[str, dict[str, object]]]]) -> None:
        first, second = (content["gpus"][place]["facts"] for place in (0, 1))
        first["pci"], second["pci"] = second["pci"], first["pci"]

    with pytest.raises(LeaseError) as caught:
        resolve("2", visible=None, reader=machine(tmp_path, swapped))
    assert "does not number the GPUs in the order of the PCI bus (0: 00000000:20:00.0, 1: 00000000:10:00.0," in str(
        caught.value
    )


def test_nvlink_groups_are_found(tmp_path: Path) -> None:
    def two_pairs(content: dict[str, object]) -> None:
        uuids = [gpu["facts"]["uuid"] for gpu in content["gpus"]]  # type: ignore[attr-defined]
        content["links"] = [[uuids[0], uuids[2]], [uuids[1], uuids[3]]]

    cliques = list(resolve("all", visible="0,1,2,3", reader=machine(tmp_path, two_pairs)).cliques.values())
    assert cliques[0] == cliques[2] != cliques[1] == cliques[3]


@pytest.mark.parametrize(
    ("wanted", "name", "fits"),
    [
        ("H100", "NVIDIA H100 80GB HBM3", True),
        ("h100", "NVIDIA H100 PCIe", True),
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("H20", "NVIDIA H20-3e", True),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("GB200", "NVIDIA GB200", True),
        ("B200", "NVIDIA GB200", False),
        ("H20", "NVIDIA H200", False),
        ("L4", "NVIDIA L40S", False),
        ("L40", "NVIDIA L40S", False),
        ("A10", "NVIDIA A100-SXM4-80GB", False),
    ],
)
def test_a_product_is_named_by_whole_words(wanted: str, name: str, fits: bool) -> None:
    gpu = Gpu(index=0, uuid="GPU-1", name=name)
    assert Eligible(gpus=(gpu,), spec="all").of(["T4", wanted]).gpus == (gpu,) * fits


def test_where_no_product_is_named_any_is_meant() -> None:
    assert Eligible(gpus=GPUS, spec="all").of(()).gpus == GPUS


MIXED = (
    Gpu(index=0, uuid="GPU-aaaa-0001", name="NVIDIA RTX A2000 12GB"),
    Gpu(index=1, uuid="GPU-bbbb-0001", name="NVIDIA H100 PCIe"),
    Gpu(index=2, uuid="GPU-cccc-0001", name="NVIDIA H100 PCIe"),
)


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST", "pci_bus_id", ""])
@pytest.mark.parametrize(
    ("spec", "visible", "culprit"),
    [
        ("1", "0", "CUDA_VISIBLE_DEVICES=0"),
        ("all", "1,2", "CUDA_VISIBLE_DEVICES=1,2"),
        ("auto", "GPU-aaaa, 1", "CUDA_VISIBLE_DEVICES=GPU-aaaa, 1"),
        ("GPU-aaaa", "0", "CUDA_VISIBLE_DEVICES=0"),
        ("idx:0", "0", "CUDA_VISIBLE_DEVICES=0"),
        ("idx:0", None, "--sgdiff-gpus=idx:0"),
        ("0,2", None, "--sgdiff-gpus=0,2"),
        ("idx:1", "2,1,0", "--sgdiff-gpus=idx:1"),
        ("GPU-aaaa,1", None, "--sgdiff-gpus=GPU-aaaa,1"),
    ],
)
def test_numbers_that_only_cuda_can_read_are_refused_where_the_gpus_differ(
    spec: str, visible: str | None, culprit: str, order: str | None
) -> None:
    """CUDA counts the fastest GPU as 0, and a job that was given that one would be measured on another."""
    with pytest.raises(OptionError) as caught:
        parse(spec, MIXED, Sight(visible=visible, order=order))
    message = str(caught.value)
    assert message.startswith(f"{culprit} has numbers that only CUDA can resolve: ")
    assert "1: NVIDIA H100 PCIe, GPU-bbbb-0001" in message
    assert "Set CUDA_DEVICE_ORDER=PCI_BUS_ID" in message


@pytest.mark.parametrize(
    ("spec", "visible", "order", "indices"),
    [
        ("1", "0", "PCI_BUS_ID", [0]),
        ("idx:1", "2,1", "PCI_BUS_ID", [1]),
        ("all", None, None, [0, 1, 2]),
        ("2", None, None, [0, 1, 2]),
        ("all", "2,0,1", None, [2, 0, 1]),
        ("all", "GPU-bbbb,GPU-aaaa", None, [1, 0]),
        ("idx:0", "GPU-bbbb,GPU-aaaa", None, [1]),
        ("GPU-cccc", None, None, [2]),
        ("all", "", None, []),
    ],
)
def test_what_cannot_be_mistaken_is_taken_where_the_gpus_differ(
    spec: str, visible: str | None, order: str | None, indices: list[int]
) -> None:
    eligible = parse(spec, MIXED, Sight(visible=visible, order=order))
    assert [gpu.index for gpu in eligible.gpus] == indices


def test_equal_gpus_may_be_numbered_in_any_order_and_other_memory_makes_another_product() -> None:
    assert [gpu.index for gpu in parse("idx:0", GPUS, Sight(visible="2,3", order=None)).gpus] == [2]
    cards = [
        Gpu(index=n, uuid=f"GPU-{n}", name="NVIDIA GeForce RTX 3080", memory_mb=mb)
        for n, mb in ((0, 10240), (1, 12288))
    ]
    with pytest.raises(OptionError):
        parse("all", cards, Sight(visible="1", order=None))
    alike = [Gpu(index=n, uuid=f"GPU-{n}", name="NVIDIA L40S", memory_mb=mb) for n, mb in ((0, 46068), (1, 46067))]
    assert parse("all", alike, Sight(visible="1", order=None)).size == 1


def test_the_order_and_what_is_visible_come_from_the_environment(tmp_path: Path) -> None:
    def mixed(content: dict[str, list[dict[str, dict[str, object]]]]) -> None:
        content["gpus"][0]["facts"]["name"] = "NVIDIA RTX A2000 12GB"

    reader = machine(tmp_path, mixed)
    with pytest.raises(
        OptionError, match=r"^CUDA_VISIBLE_DEVICES=0 has numbers that only CUDA can resolve: .* is not set"
    ):
        resolve("1", reader=reader, env={"CUDA_VISIBLE_DEVICES": "0"})
    ordered = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert [gpu.index for gpu in resolve("1", reader=reader, env=ordered).gpus] == [0]


@pytest.mark.parametrize(
    ("env", "uuids"),
    [
        ({"NVIDIA_VISIBLE_DEVICES": GPUS[2].uuid}, [GPUS[2].uuid]),
        ({"NVIDIA_VISIBLE_DEVICES": "1,3"}, [GPUS[1].uuid, GPUS[3].uuid]),
        ({"SLURM_JOB_GPUS": "2-3"}, [GPUS[2].uuid, GPUS[3].uuid]),
        ({"SLURM_STEP_GPUS": "1", "SLURM_JOB_GPUS": "1,2"}, [GPUS[1].uuid]),
        ({"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "1"}, [GPUS[0].uuid]),
        # What says nothing of these GPUs: all of them are seen.
        *(
            ({"NVIDIA_VISIBLE_DEVICES": value}, [gpu.uuid for gpu in GPUS])
            for value in ("all", "none", "void", "", "nvidia.com/gpu=0", "/var/run/nvidia-container-devices", "6,7")
        ),
        ({"NVIDIA_VISIBLE_DEVICES": "4,5,6,7"}, [gpu.uuid for gpu in GPUS]),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-of-another-host"}, [gpu.uuid for gpu in GPUS]),
    ],
)
def test_a_container_or_a_job_that_was_given_some_of_the_gpus_sees_those(env: dict[str, str], uuids: list[str]) -> None:
    eligible = parse("all", GPUS, sight(GPUS, env))
    assert [gpu.uuid for gpu in eligible.gpus] == uuids


def test_what_hides_a_gpu_is_named() -> None:
    with pytest.raises(OptionError) as caught:
        parse("2", GPUS, sight(GPUS, {"SLURM_JOB_GPUS": "2"}))
    assert str(caught.value) == (
        "--sgdiff-gpus=2 asks for 2 GPUs, but 1 is visible to this job (SLURM_JOB_GPUS=GPU-cccc-0001); "
        "ask for at most 1, or for `all`"
    )


@pytest.mark.parametrize("spec", ["1", "all", "auto", "idx:0", "MIG-1111"])
@pytest.mark.parametrize("visible", [None, "0", "MIG-1111"])
def test_the_only_slice_of_a_machine_is_taken_as_cuda_takes_it(spec: str, visible: str | None) -> None:
    """A pod that was given one slice."""
    assert parse(spec, SLICES[:1], visible).gpus == SLICES[:1]


@pytest.mark.parametrize("spec", ["1", "2", "all", "auto", "idx:0"])
def test_of_several_slices_the_message_names_each(spec: str) -> None:
    slices = (
        Gpu(index=0, uuid="MIG-377e0049-0000-4000-8000-000000000001", name="NVIDIA H100", mig_profile="2g.20gb"),
        Gpu(index=0, uuid="MIG-377e0049-0000-4000-8000-000000000002", name="NVIDIA H100", mig_profile="2g.20gb"),
    )
    named = ", ".join(f"--sgdiff-gpus={gpu.uuid}" for gpu in slices)
    if spec in ("all", "auto"):
        told = parse(spec, slices, None).refusal(1) or ""
    else:
        with pytest.raises(OptionError) as caught:
            parse(spec, slices, None)
        told = str(caught.value)
    assert f"every GPU of this machine is split into MIG slices; name a slice: {named}" in told
    assert "`all` runs" not in told
    assert parse(slices[1].uuid, slices, None).gpus == slices[1:]


def test_slices_are_named_as_short_as_they_can_be_and_not_by_the_dozen() -> None:
    slices = [Gpu(index=0, uuid=f"MIG-{n:08d}-0000", name="NVIDIA H100", mig_profile="1g.10gb") for n in range(10)]
    told = parse("all", slices, None).note
    assert "--sgdiff-gpus=MIG-00000000, " in told
    assert told.endswith("--sgdiff-gpus=MIG-00000007, and 2 more")


def test_auto_takes_a_gpu_on_which_a_display_is_drawn_and_names_one_that_draws_too_much(tmp_path: Path) -> None:
    def drawn(content: dict[str, list[dict[str, object]]]) -> None:
        for place, used_mb in ((0, 43), (1, 900)):
            content["gpus"][place]["processes"] = [{"pid": 2210, "name": "/usr/lib/xorg/Xorg", "used_mb": used_mb}]

    eligible = resolve("auto", visible="0,1", reader=machine(tmp_path, drawn))
    assert [gpu.index for gpu in eligible.gpus] == [0]
    assert eligible.note.startswith(
        "GPU 1 is busy (Xorg draws on it with 900 MiB, more than 256: sudo systemctl isolate"
    )
