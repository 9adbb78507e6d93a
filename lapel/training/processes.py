"""Several processes on a CPU: what `accelerate launch --cpu --num_processes N` asks for.

Without MPI accelerate starts only one of them (1.15), and tells it neither the number nor a rank. So the first process
starts the others itself, before anything heavy is imported.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lapel.errors import UserError


@contextmanager
def all_processes() -> Iterator[None]:
    """Within the block the other processes that were asked for run the same command; at its end they are waited for.

    Raises:
        UserError: where several were asked for, but not how many.
    """
    count = _asked_for()
    if count < 2:
        yield
        return
    ranks = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(count)}
    environments = [{**ranks, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    os.environ.update(environments[0])
    others = [
        subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, **environment})
        for environment in environments[1:]
    ]
    try:
        yield
        if any(other.wait() for other in others):
            raise SystemExit(1)
    finally:
        for other in others:
            try:
                # They end by themselves where the first one does; this is for those that cannot.
                other.wait(timeout=10)
            except subprocess.TimeoutExpired:
                other.kill()


def _asked_for() -> int:
    """How many processes accelerate's launcher was asked for and left to us; 1 where it, or torchrun, sees to them."""
    import psutil

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1")
    # The launcher sets the address only for several processes, and a rank only where it started them.
    if not on_cpu or "MASTER_ADDR" not in os.environ or "LOCAL_RANK" in os.environ or "PMI_SIZE" in os.environ:
        return 1
    parent = psutil.Process().parent()
    words = " ".join(parent.cmdline()) if parent is not None else ""
    found = re.search(r"--num[_-]processes[ =](\d+)", words)
    if found is None:
        raise UserError("several CPU processes, but how many? give accelerate launch its --num_processes as a flag")
    return int(found[1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
