"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix, and move it to `path` when the block succeeds.

    The file is flushed to disk and gets mode 0644 before it is moved, so that a reader sees the old file or the new
    one, never a part. When the block raises, the temporary file goes and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # "rb+" rather than "rb": Windows flushes only what is open for writing.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; missing folders are made."""
    from safetensors.torch import save_file

    with written_whole(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def sha256(path: Path, start: int = 0) -> str:
    """The SHA-256 of a file's bytes from `start` on, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_writable(folder: Path) -> None:
    """Make `folder` where it is missing; a `UserError` when it cannot be made or written to.

    Writing a file is the only test that holds on every system: permission bits say little on Windows or for root.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".lapel-"):
            pass
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder}: a file is in the way; name another folder, or move that file") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{folder}: cannot write there ({reason}); name another folder, or allow writing") from None
