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
from lapel.generation.images import write_image
from lapel.generation.inpaint import InpaintSettings
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


def test_webuis_inpainting_comes_back_and_what_it_has_of_its_own_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "a tee\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, VAE: vae-ft-mse.safetensors, "
        "Denoising strength: 0.6, Mask blur: 4, Inpaint area: Only masked, Masked area padding: 32, "
        'Masked content: latent noise, ControlNet 0: "Module: canny, Model: control_sd15_canny [d14c], Weight: 1", '
        "Version: v1.10.1"
    )
    write_image(tmp_path / "image.png", Image.new("RGB", (64, 64)), text)
    argv = like(["--like", str(tmp_path / "image.png")], InpaintSettings, PictureSettings)
    (settings, picture) = read_settings("", InpaintSettings, PictureSettings, argv=argv)
    assert settings == InpaintSettings(0.6, "noise", mask_feather=4, padding=32)
    assert (picture.steps, picture.width, picture.scheduler) == (20, 512, "Euler")
    (line,) = capsys.readouterr().err.splitlines()
    assert "VAE vae-ft-mse.safetensors" in line and "ControlNet 0 Module: canny" in line
    assert not any(word.startswith("--strength") for word in like(["--like", str(tmp_path / "image.png")], *KINDS))


def test_whoever_names_another_adapter_says_its_weight_and_base(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_text("")
    told = {"adapter": str(tmp_path / "a.safetensors"), "weight": "0.5", "vae": "other", "garment_photo": "gone.jpg"}
    told |= {"controlnet": "tiny", "control": "pose:standing"}
    path = tmp_path / "image.png"
    save_image(path, Image.new("RGB", (64, 64)), PictureSettings("x"), 0, Provenance("tiny", further=told))
    argv = like(["--like", str(path)], *KINDS)
    assert {f"--adapter={told['adapter']}", "--weight=0.5", "--vae=other", "--base=tiny"} <= {*argv}
    assert not any("garment_photo" in word for word in argv)
    varied = like(["--like", str(path), "--control", "pose:star"], *KINDS)
    assert "--controlnet=tiny" in varied and "--control=pose:standing" not in varied
    argv = like(["--like", str(path), "--adapter", "b"], *KINDS)
    assert not any(word.split("=")[0] in ("--weight", "--vae", "--base") for word in argv)


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
