"""Words count in their region only, exactly, beside adapters, encoders and ControlNets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lapel.adapters.ip_adapter import read_encoder, wear_encoder
from lapel.base.base import Base
from lapel.base.image_tower import load_tower
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import PictureSettings, generate
from lapel.generation.control import ControlSettings, guided, made_of, read_controls
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.generation.parsed import Parsed
from lapel.generation.patch import Patch, soften
from lapel.generation.regions import Cells, RegionAttnProcessor, Regions, RegionSettings, read_regions, regional
from lapel.generation.shown import see_cutouts
from lapel.photos.people.parsing import write_parsing
from lapel.wardrobe import PARSING, photograph, sample_garment, sample_shot

PLAIN = "a photo of a person wearing a blue t-shirt, in a park"
OTHER = "a photo of a person wearing red trousers, at the beach"
SIZE = (96, 64)
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(BaseSettings(base="tiny", precision="fp32"))


def left() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, : WIDTH // 2] = True
    return mask


def everywhere() -> np.ndarray:
    return np.ones((HEIGHT, WIDTH), bool)


def draw(pipeline: Any, prompt: str, regions: Regions, guidance: float = 4.0, photos: Any = None) -> np.ndarray:
    asked = PictureSettings(prompt, "blurry", 3, guidance, WIDTH, HEIGHT, seeds=[1, 2], batch=2)
    with regional(pipeline, regions):
        return np.stack([np.asarray(image, int) for image in generate(pipeline, asked, photos=photos)])


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_one_region_over_all_is_its_prompt(base: Base, guidance: float) -> None:
    pipeline, none = base.pipeline(), Regions(SIZE)
    wanted = draw(pipeline, OTHER, none, guidance)
    drawn = draw(pipeline, PLAIN, Regions(SIZE, (OTHER,), (everywhere(),)), guidance)
    plain = draw(pipeline, PLAIN, none, guidance)
    assert np.abs(drawn - wanted).max() <= 1 < np.abs(wanted - plain).max()
    # The last region that covers a place counts, and one that covers nothing does not.
    covered = Regions(SIZE, (OTHER, PLAIN, OTHER), (everywhere(), everywhere(), ~everywhere()))
    assert np.abs(draw(pipeline, OTHER, covered, guidance) - plain).max() <= 1
    assert not any(isinstance(one, RegionAttnProcessor) for one in base.unet.attn_processors.values())


def test_a_long_prompt_in_a_region(base: Base) -> None:
    long = OTHER + ", very detailed" * 40
    pipeline = base.pipeline()
    drawn = draw(pipeline, PLAIN, Regions(SIZE, (long,), (everywhere(),)), guidance=1.0)
    assert np.abs(drawn - draw(pipeline, long, Regions(SIZE), guidance=1.0)).max() <= 1


def answers(base: Base, regions: Regions, texts: list[torch.Tensor], guided_: bool) -> Any:
    """A cross-attention's answer with regions, and its own to each of the texts."""
    name = next(name for name in base.unet.attn_processors if name.endswith("attn2.processor"))
    attention = base.unet.get_submodule(name.removesuffix(".processor"))

    class Halves:
        def start(self, count: int) -> int:
            return count // 2 if guided_ else 0

    width = attention.to_q.in_features
    queries = torch.randn(4, 24 * 16, width, generator=torch.Generator().manual_seed(0))
    processor: Any = RegionAttnProcessor(attention.processor, texts[1:], Cells(regions, 4), Halves())  # type: ignore[arg-type]
    with torch.no_grad():
        mixed = processor(attention, queries, texts[0].expand(4, -1, -1))
        return mixed, [attention.processor(attention, queries, text.expand(4, -1, -1)) for text in texts]


@pytest.mark.parametrize("halves", [True, False])
def test_each_place_attends_to_its_own_prompt(base: Base, halves: bool) -> None:
    texts = [base.encode_text([words])["prompt_embeds"] for words in (PLAIN, OTHER, "a dog")]
    corner = np.zeros((HEIGHT, WIDTH), bool)
    corner[40:, 60:] = True
    mixed, own = answers(base, Regions(SIZE, ("", ""), (left(), corner)), texts, halves)
    labels = np.zeros((16, 24), int)
    labels[:, :12], labels[10:, 15:] = 1, 2
    for number, wanted in enumerate(own):
        here = torch.from_numpy(labels.flatten() == number)
        torch.testing.assert_close(mixed[2:, here], wanted[2:, here], rtol=0, atol=1e-5)
        first = own[0] if halves else wanted
        torch.testing.assert_close(mixed[:2, here], first[:2, here], rtol=0, atol=1e-5)
    assert not torch.allclose(own[0], own[1], atol=1e-2)


def test_cells_of_every_level() -> None:
    cells = Cells(Regions((100, 60), ("a",), (np.arange(6000).reshape(60, 100) % 100 < 33,)), 4)
    for height, width in ((15, 25), (8, 13), (4, 7)):
        labels, photos = cells.level(height * width)
        assert photos is None
        assert labels.reshape(height, width).float().mean().item() == pytest.approx(0.33, abs=0.1)
        assert (labels.reshape(height, width)[:, 0] == 1).all()
    with pytest.raises(ValueError, match="no level"):
        cells.level(33)


def test_an_encoders_photos_count_in_their_region_only() -> None:
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    pipeline, file = base.pipeline(), read_encoder(Path("tiny"))
    wear_encoder(pipeline, file, 1.0)
    photo = Image.new("RGB", (64, 64), (220, 30, 30))
    seen = see_cutouts(load_tower("tiny", base), [photo, photo.rotate(90)], file.form == "plus")
    shown = draw(pipeline, PLAIN, Regions(SIZE), photos=seen)
    assert np.abs(draw(pipeline, PLAIN, Regions(SIZE, photos=everywhere()), photos=seen) - shown).max() <= 1
    hidden = draw(pipeline, PLAIN, Regions(SIZE, photos=~everywhere()), photos=seen)
    pipeline.set_ip_adapter_scale(0.0)
    assert np.abs(hidden - draw(pipeline, PLAIN, Regions(SIZE), photos=seen)).max() <= 1 < np.abs(hidden - shown).max()
    pipeline.set_ip_adapter_scale(1.0)
    # Words and photos in one: where both are everywhere, it is that prompt with the photos.
    both = draw(pipeline, OTHER, Regions(SIZE, (PLAIN,), (everywhere(),), everywhere()), photos=seen)
    assert np.abs(both - shown).max() <= 1


def test_words_are_drawn_where_the_map_says(base: Base) -> None:
    controls = read_controls(ControlSettings(["tiny"], [Path("parsing:a-pose@half")], shape="long sleeves"), base)
    settings = RegionSettings(["upper=a photo of a person wearing a red shirt"])
    regions = read_regions(settings, (96, 96), made_of(controls))
    upper = made_of(controls)[0].classes == PARSING["upper"]
    assert (regions.masks[0] == upper).all()
    pipeline = base.pipeline()
    with guided(pipeline, controls, (96, 96)), regional(pipeline, regions):
        picture = PictureSettings("a photo of a person, in a white studio", steps=10, images=2, batch=2)
        images = np.stack([np.asarray(image, int) for image in generate(pipeline, picture)])
    red = images[..., 0] - images[..., 1]
    assert red[:, upper].mean() > 50 > 20 > np.abs(red[:, ~upper]).mean()


def test_regions_are_cut_as_the_photo_is() -> None:
    """A patch shows its own part of them, at the size that it is drawn at."""
    size, alpha = (500, 240), np.zeros((240, 500), np.uint8)
    place = np.zeros((240, 500), bool)
    place[60:120, 300:350], alpha[100:200, 320:400] = True, 255
    patch = Patch((280, 40, 440, 200), (80, 80))
    cut = Regions(size, ("words",), (place,), place).cut(patch, alpha)
    wanted = np.zeros((80, 80), bool)
    wanted[10:40, 10:35] = True
    assert cut.size == (80, 80) and cut.words == ("words",) and cut.photos is not None
    assert (cut.masks[0] == wanted).all() and (cut.photos == wanted).all()
    with pytest.raises(UserError) as refused:
        Regions(size, ("said",), (place,), place).cut(patch, np.roll(alpha, 200, axis=1))
    assert [line.split(":")[0] for line in refused.value.lines] == ["said", "the encoder's photos"]


def test_words_change_a_photo_in_their_region_and_in_the_mask_only(base: Base) -> None:
    """Of a person who stands at the side of a photo, of whom the surroundings of the clothes are drawn."""
    garment = next(one for one in map(sample_garment, range(3, 999)) if one.kind == "long sleeve shirt")
    person = photograph(garment, sample_shot(3, garment, "worn", "white studio"), 240)
    pixels, classes = np.full((240, 500, 3), 90, np.uint8), np.zeros((240, 500), np.uint8)
    pixels[:, 240:480], classes[:, 240:480] = person.image, person.parsing
    upper, lower = (classes == PARSING[name] for name in ("upper", "lower"))
    photo, mask = Image.fromarray(pixels), Image.fromarray(np.uint8(255) * (upper | lower))

    def worn(colour: str) -> np.ndarray:
        words = f"a photo of a person wearing a {colour} long sleeve shirt, in a white studio"
        asked = PictureSettings("a photo of a person wearing black trousers, in a white studio", steps=8)
        regions, how = Regions(photo.size, (words,), (upper,)), InpaintSettings(mask_feather=2)
        (image,) = inpaint(base, base.pipeline("inpaint"), asked, photo, mask, how, regions=regions)
        return np.asarray(image, int)

    red, blue = worn("red"), worn("blue")
    for drawn, channel, other in ((red, 0, 2), (blue, 2, 0)):
        assert (drawn[..., channel] - drawn[..., other])[upper].mean() > 60
    untouched = soften(mask, 0, 2) == 0
    assert (red[untouched] == pixels[untouched]).all() and (blue[untouched] == pixels[untouched]).all()
    changed = np.abs(red - blue).mean(axis=2)
    assert changed[lower].mean() < 0.25 * changed[upper].mean()


def test_places_by_file_and_by_map(tmp_path: Path) -> None:
    classes = np.zeros((30, 40), np.uint8)
    classes[10:20] = PARSING["dress"]
    write_parsing(classes, tmp_path / "map.png")
    Image.fromarray(classes[:, :20] * 40).save(tmp_path / "mask.png")
    settings = RegionSettings([f"{tmp_path / 'mask.png'}=a = b", "dress=silk"], tmp_path / "map.png", "dress")
    regions = read_regions(settings, (80, 60))
    assert regions.words == ("a = b", "silk") and regions.photos is not None
    for mask in (*regions.masks, regions.photos):
        assert mask[20:40].all() and mask.mean() == pytest.approx(1 / 3)
    # A map that was made for the picture counts, and without one that of what was there before.
    before = np.zeros((60, 80), np.uint8)
    made = Parsed(np.full_like(before, PARSING["dress"]), "made.png")
    assert read_regions(RegionSettings(["dress=silk"]), (80, 60), [made], before).masks[0].all()
    assert read_regions(RegionSettings(["background=silk"]), (80, 60), (), before).masks[0].all()
    with pytest.raises(UserError, match="which shows background, dress"):
        read_regions(RegionSettings(["hair=red"], tmp_path / "map.png"), (80, 60))
    with pytest.raises(UserError, match="--region_map"):
        read_regions(RegionSettings(["hair=red"]), (80, 60))
    with pytest.raises(UserError) as refused:
        RegionSettings(["upper", "nowhere=words", "upper="], tmp_path / "none.png", "hat")
    assert len(refused.value.lines) == 5
    with pytest.raises(UserError, match="give --region or"):
        RegionSettings(region_map=tmp_path / "map.png")
    with pytest.raises(UserError, match="no encoder is worn"):
        RegionSettings(encoder_region="upper").require_encoder(None)
