"""Which instructions this CPU has."""

import contextlib
from pathlib import Path


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether eight-bit products are added up in 32 bits.

    Without these instructions pairs of products are added in 16 bits, where they overflow unless
    weights keep to seven bits.
    """
    return not _flags(cpuinfo).isdisjoint({"avx512_vnni", "avx_vnni", "asimddp"})


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it computes in bf16."""
    return not _flags(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def _flags(cpuinfo: Path) -> set[str]:
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() in {"flags", "Features"}:
                return set(flags.split())
    return set()
