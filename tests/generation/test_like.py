"""What is written into an image comes back as the flags that draw it again; so do WebUI's images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.errors import UserError
from lapel.generation import (
    SCHEDULERS,
    PictureSettings,
    Provenance,
    WearSettings,
    WornAdapter,
    parameters_text,
    save_image,
)
from lapel.generation.control import ControlSettings
from lapel.generation.like import like, parameter_flags
from lapel.generation.regions import RegionSettings
from lapel.settings import read_settings

TEXT = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="<>[") | st.just(" "), min_size=1).map(
    lambda text: " ".join(text.split()) or "x"
)
KINDS = (WearSettings, ControlSettings, RegionSettings, PictureSettings)
WORN = Provenance("tiny", "ab12" * 16, (WornAdapter("tee", 0.8, "12" * 32),), 2)


@settings(max_examples=100, deadline=None)
@given(TEXT, st.just("") | TEXT, st.integers(1, 99), st.integers(0, 2**40), st.sampled_from([None, *SCHEDULERS]))
def test_pictures_come_back(prompt: str, negative: str, steps: int, seed: int, scheduler: str | None) -> None:
    picture = PictureSettings(
        prompt=prompt, negative_prompt=negative, steps=steps, guidance=5.5, seeds=[seed], scheduler=scheduler
    )
    flags, _ = parameter_flags(parameters_text(picture, seed, (96, 128), WORN), Path("x.png"))
    wearing, again = read_settings(
        "", WearSettings, PictureSettings, argv=[f"--{flag}={text}" for flag, text in flags.items()]
    )
    picture.width, picture.height = 96, 128
    assert again == picture
    assert (wearing.base, wearing.clip_skip) == ("tiny", 2)


def test_weights_come_back_as_they_were_written() -> None:
    prompt = r"a (red:1.3) [plain] t-shirt \(v2\), ((worn)), dots: many"
    picture = PictureSettings(prompt=prompt, negative_prompt="(blurry:1.4)")
    flags, _ = parameter_flags(parameters_text(picture, 0, (96, 96), WORN), Path("x.png"))
    assert (flags["prompt"], flags["negative_prompt"]) == (prompt, "(blurry:1.4)")


def test_an_image_of_webui_and_what_the_command_line_says_beside_it(tmp_path: Path) -> None:
    text = (
        "a photo of <lora:tee:0.8> ohwx t-shirt,\nat the beach\nNegative prompt: blurry, dark\n"
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 11, Size: 512x768, Model hash: abc, "
        'Model: v1-5, Lora hashes: "tee: 12", Version: v1.10.1'
    )
    flags, lost = parameter_flags(text, Path("x.png"))
    assert lost == ["<lora:tee:0.8>"]
    assert flags == {
        "prompt": "a photo of ohwx t-shirt,\nat the beach",
        "negative_prompt": "blurry, dark",
        "steps": "25",
        "guidance": "7",
        "seeds": "11",
        "width": "512",
        "height": "768",
        "scheduler": "DPM++ 2M Karras",
    }
    path = tmp_path / "image.png"
    save_image(path, Image.new("RGB", (64, 64)), PictureSettings(prompt="a tee", seeds=[3]), 3, WORN)
    argv = like(["--seeds", "5", "--like", str(path), "--adapter", "a.safetensors"], *KINDS)
    assert argv[-4:] == ["--seeds", "5", "--adapter", "a.safetensors"]
    assert "--prompt=a tee" in argv and not any(word.startswith(("--base", "--seeds=")) for word in argv)
    assert like(["--like=" + str(path)], *KINDS)[0] == "--prompt=a tee"
    assert like(["--prompt", "x"]) == ["--prompt", "x"]


def test_images_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no image")
    for argv, said in (
        (["--like"], "takes an image"),
        (["--like", "--steps"], "takes an image"),
        (["--like", str(tmp_path / "none.png")], "no such image"),
        (["--like", str(tmp_path / "text.png")], "not an image"),
        (["--like", str(tmp_path / "plain.png")], "tells no settings"),
    ):
        with pytest.raises(UserError, match=said):
            like(argv)
    with pytest.raises(UserError, match="cannot be read"):
        parameter_flags("a cat", tmp_path)
