"""Files of named tensors: safetensors, and pickles that hold nothing but tensors. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from lapel.errors import UserError
from lapel.files import sha256

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Suffixes of what `torch.save` writes; it is read with `weights_only=True`, which executes nothing."""

# safetensors' own limit; a longer header is a claim, not a header.
_LONGEST_HEADER = 100_000_000
_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
_BYTES |= {"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}
# A pickle protocol 2 or later, a zip archive (torch.save since 1.6), and things that are downloaded in a file's place.
_OTHER_KINDS = {
    b"PK\x03\x04": "a pickle by its content",
    b"\x80\x02": "a pickle by its content",
    b"version https://git-lfs": "a Git LFS pointer in the file's place",
    b"<!DOCTYPE": "a web page in the file's place",
    b"<html": "a web page in the file's place",
}
# What a name of a tensor has no use for, and what would leave a folder were it taken for a file name.
_ODD_NAME = re.compile(r"[/\\\x00-\x1f\x7f]|\.\.")


@dataclass(frozen=True)
class WeightFile:
    """What a file holds, by its names and shapes; the numbers are read when they are asked for."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str] = field(default_factory=dict)
    loaded: Mapping[str, Tensor] | None = field(default=None, repr=False)
    """The tensors of a pickle that cannot be mapped, as torch wrote them before 1.6; None for all other files."""

    def read(self, names: Iterable[str], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Tensors by name, on the CPU; those of floating point in `dtype`, where it is given."""
        found: dict[str, Tensor] = {}
        names = list(names)
        # Each opening maps the file anew: pages that were read in another precision do not stay in the process.
        for start in range(0, len(names), 64):
            found |= self._read_some(names[start : start + 64], dtype)
        return found

    def _read_some(self, names: list[str], dtype: torch.dtype | None) -> dict[str, Tensor]:
        if self.loaded is not None:
            return {name: _in(self.loaded[name], dtype) for name in names}
        if self.path.suffix in PICKLES:
            mapped = _tensors_of(read_pickle(self.path))
            return {name: _in(mapped[name], dtype) for name in names}
        from safetensors import safe_open

        with safe_open(str(self.path), "pt") as file:
            return {name: _in(file.get_tensor(name), dtype) for name in names}


def _in(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def open_weights(path: Path) -> WeightFile:
    """A safetensors file or a pickle of tensors, by its suffix.

    Raises:
        UserError: the file is neither, is damaged, or needs more than tensors to be read.
    """
    if path.suffix not in PICKLES:
        header = read_header(path)
        metadata = header.pop("__metadata__", {})
        return WeightFile(path, {name: tuple(entry["shape"]) for name, entry in header.items()}, metadata)
    tensors = _tensors_of(read_pickle(path))
    if not tensors:
        raise UserError(f"{path}: holds no tensors by name; give a checkpoint")
    _require_plain_names(path, tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return WeightFile(path, shapes, loaded=None if _is_zip(path) else tensors)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: dtype, shape and offsets by tensor name, and `__metadata__`.

    Raises:
        UserError: the file is not safetensors, is shorter than its header says, or says what cannot be.
    """
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: not a .safetensors file; convert it to one")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(24)
        # A header may be of any length, so that its first bytes may be those of something else by chance.
        if start[8:9] != b"{":
            _require_kind(path, start)
        length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else size
        if 8 + length > size:
            raise UserError(f"{path}: truncated ({size} bytes); download it again")
        if length > _LONGEST_HEADER:
            raise UserError(f"{path}: not a safetensors file (a header of {length} bytes); download it again")
        file.seek(8)
        content = file.read(length)
    try:
        header = json.loads(content)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not a safetensors file; download it again") from None
    fault = _fault(header)
    if fault:
        raise UserError(f"{path}: not a sound safetensors file ({fault}); download it again")
    _require_plain_names(path, header)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise UserError(f"{path}: truncated ({size} of {expected} bytes); download it again")
    return header


def content_hash(path: Path) -> str:
    """SHA-256 of what follows a safetensors file's header, so that its metadata does not change it.

    kohya and WebUI call it `sshs_model_hash`, its first 12 digits AutoV3.
    """
    with path.open("rb") as file:
        return sha256(path, 8 + int.from_bytes(file.read(8), "little"))


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, by name and number."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def legacy_hash(path: Path) -> str:
    """The 8 digits by which WebUI knew files before it read them whole: SHA-256 of 64 KiB from the first MiB on."""
    with path.open("rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]


def _require_kind(path: Path, start: bytes) -> None:
    for sign, kind in _OTHER_KINDS.items():
        if start.startswith(sign):
            raise UserError(f"{path}: {kind}; download or convert the file itself")


def _require_plain_names(path: Path, names: Iterable[str]) -> None:
    odd = next((name for name in names if len(name) > 512 or _ODD_NAME.search(name)), None)
    if odd is not None:
        raise UserError(f"{path}: a tensor is named {odd[:60]!r}, as no model names one; do not trust this file")


def _fault(header: Any) -> str | None:
    """What is wrong with a header, in a few words: each tensor must lie where its shape and dtype put it."""
    if not isinstance(header, dict):
        return "its header is no table"
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return "its metadata is not text"
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(entry, dict) or not _is_counts(entry.get("shape")):
            return f"no shape for {name[:60]!r}"
        offsets, dtype = entry.get("data_offsets"), entry.get("dtype")
        if not _is_counts(offsets) or len(offsets) != 2 or str(dtype) not in _BYTES:
            return f"no place or kind of number for {name[:60]!r}"
        if offsets[1] - offsets[0] != math.prod(entry["shape"]) * _BYTES[str(dtype)]:
            return f"{name[:60]!r} is larger or smaller than its place"
        spans.append((offsets[0], offsets[1]))
    spans.sort()
    starts = [start for start, _ in spans]
    return None if starts == [0, *(end for _, end in spans)][: len(starts)] else "tensors overlap or leave gaps"


def _is_counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, as far as it is tensors, numbers, text, and tables and lists of these.

    Raises:
        UserError: the file is no pickle, is damaged, or needs more to be read.
    """
    import pickle

    import torch

    with path.open("rb") as file:
        start = file.read(24)
    zipped = _is_zip(path)
    if not zipped and not start.startswith(b"\x80"):
        _require_kind(path, start)
        raise UserError(f"{path}: not a file that torch saved; download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: {_needs(str(error))}; convert it to .safetensors where you trust it") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # The unpickler meets damage with whatever exception the damaged instruction leads to.
        raise UserError(f"{path}: damaged ({type(error).__name__}); download it again") from None


def _is_zip(path: Path) -> bool:
    """Whether torch 1.6 or later wrote a pickle, so that its tensors can be mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _needs(message: str) -> str:
    """Why `weights_only=True` refuses a pickle, in a few words."""
    name = re.search(r"Unsupported global: GLOBAL ([\w.]+)|Unsupported class ([\w.]+)", message)
    if name:
        return f"more than weights: reading it would run {name.group(1) or name.group(2)}"
    return "more than weights, or damaged: reading it would take more than tensors"


def _tensors_of(content: Any) -> dict[str, Tensor]:
    """The tensors by name, below the level `state_dict` where a trainer saved one."""
    import torch

    while isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        return {}
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
