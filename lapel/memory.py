"""How much memory a process has needed."""

from __future__ import annotations

import sys


def peak_memory(device: str = "cpu") -> int:
    """The most bytes that were in use at once: of a GPU's memory by torch, or, on a processor, by the whole process."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
