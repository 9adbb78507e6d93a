"""Textual inversions: read in every layout, known to tokenizer and text encoders, and refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lapel.base.base import Base
from lapel.base.embeddings import check_embeddings, read_embedding
from lapel.base.emphasis import pieces_of
from lapel.base.find import check_base
from lapel.base.load import load_base, reload_encoders
from lapel.base.prompts import windows_of
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import PictureSettings, generate

WIDTH = 192


def vectors(count: int = 2, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count))


def settings(*paths: Path, base: str = "tiny") -> BaseSettings:
    return BaseSettings(base=base, precision="fp32", embedding=list(paths))


def written(path: Path, content: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def a1111(value: torch.Tensor) -> dict[str, Any]:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(value)}, "name": "x", "step": 9}


LAYOUTS: dict[str, tuple[str, Callable[[torch.Tensor], Any], str]] = {
    "WebUI, .pt": ("MyStyle7.pt", a1111, "mystyle7"),
    "WebUI, .safetensors": ("mystyle7.safetensors", lambda value: {"emb_params": value}, "mystyle7"),
    "diffusers, .bin": ("learned_embeds.bin", lambda value: {"<mystyle>": value}, "<mystyle>"),
    "diffusers, .safetensors": ("learned_embeds.safetensors", lambda value: {"<mystyle>": value}, "<mystyle>"),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_word_becomes_its_vectors(layout: str, count: int, tmp_path: Path) -> None:
    """The text encoder sees the vectors of the file, in their order, in the place of the word."""
    name, make, word = LAYOUTS[layout]
    path = written(tmp_path / name, make(vectors(count)))
    found = read_embedding(path)
    assert found.word == word
    torch.testing.assert_close(found.vectors[0], vectors(count))
    check_base(settings(path))
    base = load_base(settings(path))
    assert base.embeddings.keys() == {word}
    assert vectors_seen(base, f"a shirt, {word}, at the beach", count)
    assert not any(parameter.requires_grad for parameter in base.text_encoders[0].parameters())
    plain = load_base(settings())
    other = base.encode_text(["a shirt at the beach"])["prompt_embeds"]
    torch.testing.assert_close(other, plain.encode_text(["a shirt at the beach"])["prompt_embeds"])


def test_a_weighed_word_is_weighed_in_all_of_its_vectors(tmp_path: Path) -> None:
    base = load_base(settings(written(tmp_path / "MyStyle_V7.pt", a1111(vectors(3)))))
    (window,) = windows_of(base.tokenizers[0], pieces_of("a (MyStyle_V7:1.3) shirt"))
    assert [token.weight for token in window] == [1.0, 1.3, 1.3, 1.3, 1.0]


def vectors_seen(base: Base, prompt: str, count: int, number: int = 0) -> bool:
    window = [token.number for token in windows_of(base.tokenizers[number], prompt)[0]]
    table = base.text_encoders[number].get_input_embeddings().weight
    wanted = vectors(count, table.shape[1])
    return any(torch.equal(table[window[start : start + count]], wanted) for start in range(len(window)))


def test_a_word_in_any_case_is_all_of_its_vectors(tmp_path: Path) -> None:
    """Where diffusers' pipelines, which look for the word in the prompt as it stands, take the first vector alone."""
    base = load_base(settings(written(tmp_path / "MyStyle_V7.pt", a1111(vectors(3)))))
    prompts = ["a MyStyle_V7 shirt", "a mystyle_v7 shirt"]
    assert all(vectors_seen(base, prompt, 3) for prompt in prompts)
    drawn = generate(base.pipeline(), PictureSettings(prompt=prompts[0], steps=1, width=32, height=32))
    again = generate(base.pipeline(), PictureSettings(prompt=prompts[1], steps=1, width=32, height=32))
    assert drawn[0].tobytes() == again[0].tobytes()


def test_encoders_that_come_back_know_it_and_pipelines_too(tmp_path: Path) -> None:
    path = written(tmp_path / "mystyle7.pt", a1111(vectors()))
    base = load_base(settings(path))
    before = base.encode_text(["a mystyle7 shirt"])["prompt_embeds"]
    embeds, _ = base.pipeline().encode_prompt("a mystyle7 shirt", "cpu", 1, False)
    torch.testing.assert_close(embeds, before)
    base.release_encoders()
    reload_encoders(base, settings(path))
    assert torch.equal(base.encode_text(["a mystyle7 shirt"])["prompt_embeds"], before)


def test_sdxl_has_one_for_each_text_encoder(small_sdxl: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "mystyle7.safetensors", {"clip_g": vectors(2, 32), "clip_l": vectors(2, 32)})
    base = load_base(settings(path, base=str(small_sdxl)))
    assert all(vectors_seen(base, "a mystyle7 shirt", 2, number) for number in (0, 1))


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.mark), "w"))


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing": ("gone.pt", lambda folder: None, "no such file"),
    "code": ("a.pt", lambda folder: {"string_to_param": {"*": Payload(folder / "mark")}}, "more than weights"),
    "a checkpoint": ("a.safetensors", lambda folder: {"a": vectors(), "b": vectors()}, "not a textual inversion"),
    "a picture": ("a.safetensors", lambda folder: {"emb_params": torch.ones(3, 8, 8)}, "not a textual inversion"),
    "another family": ("a.safetensors", lambda folder: {"emb_params": vectors(1, 768)}, "768 numbers wide"),
    "SDXL's": ("a.safetensors", lambda folder: {"clip_l": vectors(), "clip_g": vectors()}, "192 and 192 numbers wide"),
    "one half": ("a.safetensors", lambda folder: {"clip_l": vectors(1), "clip_g": vectors(2)}, "each text encoder"),
    "too many": ("a.safetensors", lambda folder: {"emb_params": vectors(76)}, "1 to 75 vectors"),
    "NaN": ("a.safetensors", lambda folder: {"emb_params": vectors() * float("nan")}, "not finite"),
    "a known word": ("a.safetensors", lambda folder: {"emb_params": vectors()}, "knows a word 'a' already"),
    "text": ("a.bin", lambda folder: "words", "not a textual inversion"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_none_is_one_line_and_nothing_runs(name: str, tmp_path: Path) -> None:
    file, make, says = BAD[name]
    path = tmp_path / file
    if name != "missing":
        written(path, make(tmp_path))
    with pytest.raises(UserError) as caught:
        load_base(settings(path))
    assert len(str(caught.value).splitlines()) == 1
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "mark").exists()


def test_every_bad_file_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"short")
    with pytest.raises(UserError) as caught:
        check_embeddings([tmp_path / "gone.pt", tmp_path / "b.safetensors"])
    assert len(caught.value.lines) == 2
