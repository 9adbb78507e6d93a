"""Broken, foreign and hostile files: each is refused in one line, and nothing in it is executed."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from lapel.adapters.wear import wear
from lapel.base.find import TINY_FOLDER
from lapel.base.load import load_base
from lapel.base.save import single_file_tensors
from lapel.base.settings import BaseSettings
from lapel.base.weights import read_header
from lapel.errors import UserError

Write = Callable[[Path], None]
UNET = "model.diffusion_model."
FIRST = f"{UNET}input_blocks.0.0.weight"
TO_K = f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


class Payload:
    """Leaves a file behind where a pickle of it is really unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.mark), "w"))


def raw(content: bytes) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def header(content: Any, body: bytes = b"", claim: int | None = None) -> Write:
    """A safetensors file with that header, as JSON or as bytes, which may claim another length."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda path: (
        path.write_bytes(struct.pack("<Q", len(text) if claim is None else claim) + text + body) and None
    )


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def tensors(*shapes: tuple[str, tuple[int, ...]]) -> Write:
    return lambda path: save_file({name: torch.zeros(shape) for name, shape in shapes}, path)


def pickled(make: Callable[[Path], Any], legacy: bool = False) -> Write:
    return lambda path: torch.save(make(path), path, _use_new_zipfile_serialization=not legacy)


def plain_pickle(make: Callable[[Path], Any], protocol: int = 2) -> Write:
    return lambda path: raw(pickle.dumps(make(path), protocol))(path)


def cut(write: Write, share: float) -> Write:
    def damaged(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return damaged


def zipped(names: dict[str, bytes]) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in names.items():
                archive.writestr(name, content)

    return write


def mark_of(path: Path) -> Path:
    return path.parent / "executed"


def eval_globals(path: Path) -> bytes:
    """A pickle that would call `eval` through the opcode of old protocols."""
    return f"c__builtin__\neval\n(S'open({str(mark_of(path))!r}, \"w\")'\ntR.".encode()


def true_tensors() -> dict[str, torch.Tensor]:
    base = load_base(BaseSettings(precision="fp32"))
    return {name: value.contiguous() for name, value in single_file_tensors(base).items()}


def changed(change: Callable[[dict[str, torch.Tensor]], object]) -> Write:
    """tiny as a single file, with one thing wrong."""

    def write(path: Path) -> None:
        found = true_tensors()
        change(found)
        save_file(found, path)

    return write


SAFETENSORS: dict[str, tuple[Write, str]] = {
    "empty": (raw(b""), "truncated"),
    "seven bytes": (raw(b"1234567"), "truncated"),
    "a header of terabytes": (header({}, claim=1 << 42), "truncated"),
    "a header of 2**64 - 1 bytes": (header({}, claim=(1 << 64) - 1), "truncated"),
    "a header that is not JSON": (header(b"not json"), "not a safetensors file"),
    "a header that is not UTF-8": (header(b"\xff\xfe{}"), "not a safetensors file"),
    "a header nested too deep": (header(b"[" * 100_000), "not a safetensors file"),
    "a header that is a list": (header([]), "no table"),
    "metadata that is a number": (header({"__metadata__": 3}), "metadata"),
    "metadata of numbers": (header({"__metadata__": {"a": 1}}), "metadata"),
    "a tensor that is a number": (header({"a": 1}), "no shape"),
    "a tensor without shape": (header({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"1234"), "no shape"),
    "a shape below zero": (header({"a": entry(shape=[-1])}, b"1234"), "no shape"),
    "a shape of text": (header({"a": entry(shape="1")}, b"1234"), "no shape"),
    "a shape with a fraction": (header({"a": entry(shape=[1.0])}, b"1234"), "no shape"),
    "a shape with true": (header({"a": entry(shape=[True])}, b"1234"), "no shape"),
    "a shape of petabytes": (header({"a": entry(shape=[1 << 50])}, b"1234"), "larger or smaller"),
    "an unknown dtype": (header({"a": entry(dtype="F31")}, b"1234"), "no place or kind"),
    "a dtype that is a list": (header({"a": entry(dtype=["F32"])}, b"1234"), "no place or kind"),
    "no offsets": (header({"a": {"dtype": "F32", "shape": [1]}}, b"1234"), "no place or kind"),
    "offsets below zero": (header({"a": entry(offsets=[-4, 0])}, b"1234"), "no place or kind"),
    "three offsets": (header({"a": entry(offsets=[0, 4, 8])}, b"1234"), "no place or kind"),
    "offsets backwards": (header({"a": entry(offsets=[4, 0])}, b"1234"), "larger or smaller"),
    "offsets beyond the file": (header({"a": entry(shape=[2], offsets=[0, 8])}, b"1234"), "truncated"),
    "a gap before the first tensor": (header({"a": entry(offsets=[4, 8])}, b"12345678"), "overlap or leave gaps"),
    "tensors that overlap": (header({"a": entry(), "b": entry()}, b"1234"), "overlap or leave gaps"),
    "a name that climbs out of a folder": (header({"../../etc/passwd": entry()}, b"1234"), "do not trust"),
    "a name with a slash": (header({"a/b": entry()}, b"1234"), "do not trust"),
    "a name with a backslash": (header({"a\\b": entry()}, b"1234"), "do not trust"),
    "a name with a line break": (header({"a\nerror: b": entry()}, b"1234"), "do not trust"),
    "a name with a zero byte": (header({"a\0b": entry()}, b"1234"), "do not trust"),
    "a name without end": (header({"a" * 100_000: entry()}, b"1234"), "do not trust"),
    "a pickle under a false name": (pickled(lambda path: {"a": torch.ones(1)}), "a pickle by its content"),
    "an old pickle under a false name": (pickled(lambda path: {}, legacy=True), "a pickle by its content"),
    "a Git LFS pointer": (raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer"),
    "a web page": (raw(b"<!DOCTYPE html><html><body>Log in</body></html>"), "a web page"),
    "no tensors": (header({}), "something else"),
    "half a file": (cut(tensors((FIRST, (8, 4, 3, 3)), (TO_K, (8, 768))), 0.5), "truncated"),
    "a LoRA": (tensors(("lora_unet_x.lora_down.weight", (1, 1))), "an adapter"),
    "a LoKr": (tensors(("x.lokr_w1", (1, 1))), "an adapter"),
    "an IP-Adapter": (tensors(("ip_adapter.1.to_k_ip.weight", (1, 1))), "an IP-Adapter"),
    "a ControlNet": (tensors(("control_model.input_blocks.0.0.weight", (1,))), "a ControlNet"),
    "a textual inversion": (tensors(("emb_params", (1, 768))), "a textual inversion"),
    "a VAE": (tensors(("encoder.down.0.block.0.norm1.weight", (1,))), "a VAE alone"),
    "a UNet": (tensors(("down_blocks.0.resnets.0.conv1.weight", (1,))), "a UNet or VAE alone"),
    "a Flux model": (tensors((f"{UNET}double_blocks.0.x", (1,))), "a Flux model"),
    "a Stable Diffusion 3 model": (tensors((f"{UNET}joint_blocks.0.x", (1,))), "Stable Diffusion 3"),
    "SDXL's refiner": (tensors((FIRST, (8, 4, 3, 3)), (TO_K, (8, 1280))), "refiner"),
    "a depth-guided model": (tensors((FIRST, (8, 5, 3, 3)), (TO_K, (8, 1024))), "depth-guided"),
    "an editing model": (tensors((FIRST, (8, 8, 3, 3)), (TO_K, (8, 768))), "edits by instruction"),
    "an unknown width of text": (tensors((FIRST, (8, 4, 3, 3)), (TO_K, (8, 777))), "another build"),
    "a base without text encoder": (tensors((FIRST, (8, 4, 3, 3)), (TO_K, (8, 768))), "text encoder 1 is missing"),
    "a base without VAE": (
        changed(lambda found: [found.pop(name) for name in list(found) if name.startswith("first_stage_model.")]),
        "AutoencoderKL are missing",
    ),
    "a base without a layer": (changed(lambda found: found.pop(TO_K)), "weights of its UNet2DConditionModel"),
    "a layer of another shape": (changed(lambda found: found.update({FIRST: torch.zeros(32, 4, 3, 3)})), "conv_in"),
}
PICKLES: dict[str, tuple[Write, str]] = {
    "an empty pickle": (raw(b""), "not a file that torch saved"),
    "a text": (raw(b"hello"), "not a file that torch saved"),
    "a web page as a pickle": (raw(b"<html></html>"), "a web page"),
    "a Git LFS pointer as a pickle": (raw(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "code in a new pickle": (pickled(lambda path: {"a": Payload(mark_of(path))}), "would run"),
    "code in an old pickle": (pickled(lambda path: {"a": Payload(mark_of(path))}, legacy=True), "more than weights"),
    "code in a plain pickle": (plain_pickle(lambda path: Payload(mark_of(path))), "more than weights"),
    "code in a plain pickle of protocol 4": (plain_pickle(lambda path: Payload(mark_of(path)), 4), "more than weights"),
    "code by eval": (lambda path: raw(eval_globals(path))(path), "not a file that torch saved"),
    "code by eval in an archive": (
        lambda path: zipped({"a/data.pkl": eval_globals(path), "a/version": b"3", "a/byteorder": b"little"})(path),
        "more than weights",
    ),
    "a trainer's object": (pickled(lambda path: {"state_dict": OrderedDict(), "callback": io.StringIO}), "would run"),
    "half a new pickle": (cut(pickled(lambda path: {"a": torch.ones(1000)}), 0.5), "damaged"),
    "half an old pickle": (cut(pickled(lambda path: {"a": torch.ones(1000)}, legacy=True), 0.5), "damaged"),
    "an archive of something else": (zipped({"../../outside": b"x", "a/b": b"y"}), "damaged"),
    "a list": (pickled(lambda path: [torch.ones(1)]), "no tensors by name"),
    "a number": (pickled(lambda path: 3), "no tensors by name"),
    "numbers by name": (pickled(lambda path: {"a": 1}), "no tensors by name"),
    "names that climb": (pickled(lambda path: {"../a": torch.ones(1)}), "do not trust"),
    "a LoRA as a pickle": (pickled(lambda path: {"lora_unet_x.alpha": torch.ones(1)}), "an adapter"),
    "safetensors under a false name": (
        lambda path: raw(save({"a": torch.ones(1)}))(path),
        "not a file that torch saved",
    ),
}


def test_the_corpus_is_large() -> None:
    assert len(SAFETENSORS) + len(PICKLES) >= 75


CORPUS = [(*case, "model.safetensors") for case in SAFETENSORS.values()]
CORPUS += [(*case, "model.ckpt") for case in PICKLES.values()]


@pytest.mark.parametrize(("write", "words", "name"), CORPUS, ids=[*SAFETENSORS, *PICKLES])
def test_each_is_refused_in_one_line(write: Write, words: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        load_base(BaseSettings(base=str(path), precision="fp32"))
    message = str(caught.value)
    assert words in message and str(path) in message
    assert len(caught.value.lines) == 1 and len(message.splitlines()) == 1 and len(message) < 600
    assert not mark_of(path).exists()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("length", [0x280, 0x8080])
def test_a_sound_header_is_no_pickle_whatever_its_length(length: int, tmp_path: Path) -> None:
    text = json.dumps({"a": entry()}).encode()
    header(text + b" " * (length - len(text)), b"1234")(tmp_path / "a.safetensors")
    assert list(read_header(tmp_path / "a.safetensors")) == ["a"]


@pytest.mark.parametrize("name", ["a header of terabytes", "tensors that overlap", "a LoRA", "code in a new pickle"])
def test_what_is_no_vae_is_refused_as_one(name: str, tmp_path: Path) -> None:
    write, _ = {**SAFETENSORS, **PICKLES}[name]
    path = tmp_path / ("vae.ckpt" if name in PICKLES else "vae.safetensors")
    write(path)
    with pytest.raises(UserError) as caught:
        load_base(BaseSettings(vae=str(path), precision="fp32"))
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)
    assert not mark_of(path).exists()


@pytest.mark.parametrize("name", [name for name, (_, words) in SAFETENSORS.items() if words != "an adapter"])
def test_what_is_no_adapter_is_refused_as_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    SAFETENSORS[name][0](path)
    with pytest.raises(UserError) as caught:
        wear(load_base(BaseSettings(precision="fp32")).pipeline(), [(path, 1.0)])
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model_index.json", b"{"),
        ("unet/config.json", b"[" * 100_000),
        ("unet/config.json", b"[]"),
        ("unet/config.json", b'{"_class_name": "os.system"}'),
        ("unet/diffusion_pytorch_model.safetensors", struct.pack("<Q", 1 << 42)),
        ("vae/config.json", b"\xff"),
        ("text_encoder/model.safetensors", b""),
        ("scheduler/scheduler_config.json", b"{"),
        ("tokenizer/tokenizer.json", b"{"),
    ],
)
def test_a_folder_with_a_broken_file_is_refused_in_one_line(file: str, content: bytes, tmp_path: Path) -> None:
    folder = shutil.copytree(TINY_FOLDER, tmp_path / "copy")
    (folder / file).write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_base(BaseSettings(base=str(folder), precision="fp32"))
    assert len(str(caught.value).splitlines()) == 1 and str(folder) in str(caught.value)
