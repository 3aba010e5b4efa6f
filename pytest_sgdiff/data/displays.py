"""Which processes on a GPU only draw a screen: every machine with a desktop has some, and they never end by themselves.

What they use is little (62 MiB on an idle DGX Spark) and does not compute. One that uses more may be a game or a
renderer, and is a process as any other.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_sgdiff.data import GpuProcess

IDLE_MB = 256
"""Memory (MiB) from which on somebody uses a GPU. An idle H200 reads 0 once the driver's reserve is taken off; the
least that a process with a CUDA context had was 518 MiB (docs/gpus.md)."""

# Where the driver's lists are not known, as in a file that replays a driver.
_SERVERS = frozenset(
    (
        *("X", "Xorg", "Xwayland", "Xvnc", "weston", "sway", "Hyprland"),
        *(
            "gdm",
            "gdm3",
            "gdm-x-session",
            "gdm-wayland-session",
            "gnome-shell",
            "mutter",
            "gnome-remote-desktop-daemon",
        ),
        *("sddm", "sddm-greeter", "lightdm", "kwin_x11", "kwin_wayland", "plasmashell"),
        *("xfwm4", "cinnamon", "marco", "compiz", "budgie-wm", "nvidia-settings"),
    )
)


def only_draw(listed: Iterable[GpuProcess]) -> tuple[GpuProcess, ...]:
    """Those of one GPU's processes that only draw; none if together they use more than IDLE_MB."""
    drawing = drawers(listed)
    return drawing if memory_mb(drawing) <= IDLE_MB else ()


def drawers(listed: Iterable[GpuProcess]) -> tuple[GpuProcess, ...]:
    """Those that the driver lists for graphics alone; where it does not say for what, the known display servers."""
    return tuple(
        process
        for process in listed
        if process.work == "graphics" or (process.work is None and short_name(process.name) in _SERVERS)
    )


def memory_mb(listed: Iterable[GpuProcess]) -> int:
    """What the processes use together, as far as it is told."""
    return sum(process.used_mb or 0 for process in listed)


def short_name(name: str | None) -> str:
    """`/usr/lib/xorg/Xorg vt2` -> `Xorg`; empty where the name is not known."""
    return (name or "").split(" ", 1)[0].rsplit("/", 1)[-1]


def who_draws(drawing: Iterable[GpuProcess]) -> str:
    """`Xorg, gnome-shell`; processes without a name by their number."""
    return ", ".join(dict.fromkeys(short_name(one.name) or f"process {one.pid}" for one in drawing))
