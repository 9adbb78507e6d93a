"""By which hashes front ends know a base."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import torch

from lapel.adapters.export import base_metadata
from lapel.base.load import load_base
from lapel.base.save import save_single_file, single_file_tensors
from lapel.base.settings import BaseSettings


def test_hashes_of_a_single_file(tmp_path: Path) -> None:
    """As WebUI and kohya compute them; other metadata changes the file's hash but not its content's."""
    tiny = load_base(BaseSettings(precision="bf16"))
    contents = []
    for name in ("one", "another"):
        path = tmp_path / f"{name}.safetensors"
        save_single_file(tiny, path, torch.bfloat16)
        found = load_base(BaseSettings(base=str(path), precision="bf16"))
        content = path.read_bytes()
        after = 8 + struct.unpack("<Q", content[:8])[0]
        assert found.hash == hashlib.sha256(content).hexdigest()
        assert found.content_hash == hashlib.sha256(content[after:]).hexdigest()
        metadata = base_metadata(found)
        assert metadata["ss_new_sd_model_hash"] == found.hash
        assert metadata["ss_sd_model_hash"] == hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
        contents.append((found.hash, found.content_hash))
    assert contents[0][0] != contents[1][0] and contents[0][1] == contents[1][1]
    torch.save(single_file_tensors(tiny), tmp_path / "one.ckpt")
    pickled = load_base(BaseSettings(base=str(tmp_path / "one.ckpt"), precision="bf16"))
    assert pickled.content_hash is None and pickled.legacy_hash is not None
    assert tiny.content_hash is not None
