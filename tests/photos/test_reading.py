"""Views, places and attributes that nobody told are read by a pair of towers, where these are sure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.fidelity.readers import load_reader
from lapel.photos import PhotoSettings, read_garment
from lapel.photos.captions import is_another_view
from lapel.photos.models import Models
from lapel.photos.reading import SURE, agreed, read_photo, read_view
from lapel.wardrobe import photograph, sample_garment, sample_shot


class Saying:
    """A reader that finds the texts with one of its words likely."""

    name, fingerprint = "saying", "1"
    views: Sequence[str] = ("front", "back", "worn")
    scenes: Sequence[str] = ("beach", "park")
    attributes: Mapping[str, Sequence[str]] = {"pattern": ("plain", "striped")}

    def __init__(self, *words: str, share: float = 1.0) -> None:
        self.words, self.share = words, share

    def probabilities(self, picture: Image.Image, texts: Sequence[str]) -> list[float]:
        hits = [any(word in text for word in self.words) for text in texts]
        each = self.share / max(sum(hits), 1)
        rest = (1 - self.share) / max(len(hits) - sum(hits), 1)
        return [each if hit else rest for hit in hits]


GREY = Image.new("RGB", (96, 96), "grey")


def test_what_is_sure_is_believed_and_what_is_not_is_left_open() -> None:
    read = read_photo(Saying("the back", "back view", "beach", "striped"), GREY, "tee", another=False)
    assert (read.view, read.place, read.attributes) == ("back", "at the beach", ("pattern: striped",))
    doubtful = Saying("back", "beach", "striped", share=SURE - 0.05)
    assert read_photo(doubtful, GREY, "tee", another=False) == read_photo(None, GREY, "tee", another=False)


def test_the_texts_of_a_view_count_together_and_another_view_is_not_the_front() -> None:
    halves = Saying("back view", "the back of")
    choice = read_view(halves, GREY, "tee")
    assert choice.word == "back"
    assert choice.probability == pytest.approx(1.0)
    assert read_view(Saying("front view", "flat lay", share=0.9), GREY, "tee").word == "front"
    assert read_view(Saying("front view", "flat lay", share=0.9), GREY, "tee", another=True).word != "front"


def test_attributes_count_where_most_photos_agree() -> None:
    assert agreed([["pattern: striped"], ["pattern: striped", "collar: hood"], []]) == {"pattern": "striped"}
    assert agreed([["pattern: striped"], ["pattern: plain"]]) == {}
    assert agreed([]) == {}


@pytest.mark.parametrize(
    ("stem", "others", "another"),
    [
        ("tee_alt1", (), True),
        ("MH01-alternate", (), True),
        ("tee-2", ("tee", "tee-2"), True),
        ("IMG_3", ("IMG_1", "IMG_2"), False),
        ("tee-02", ("tee_main",), True),
        ("tee-2", ("dress",), False),
        ("02", ("01", "02"), False),
        ("salt2", (), False),
        ("tee-12", ("tee",), False),
    ],
)
def test_names_of_further_views(stem: str, others: tuple[str, ...], another: bool) -> None:
    assert is_another_view(stem, others) is another


def test_a_reading_goes_into_view_caption_and_fingerprint_but_never_over_what_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "tee"
    folder.mkdir()
    photo = photograph(sample_garment(5, "train"), sample_shot(1, sample_garment(5, "train"), "front", "park"), 96)
    for name in ("a.jpg", "b_front.jpg", "c.jpg"):
        Image.fromarray(photo.image).save(folder / name)
    (folder / "c.txt").write_text("{garment}, as we sell it", encoding="utf-8")
    settings = PhotoSettings(folder)
    told = read_garment(
        settings, 64, 8, tmp_path / "cache", Models(Saying("the back", "back view", "beach", "striped"))
    )
    assert list(told.photos["view"]) == ["back", "front", "back"]
    assert list(told.photos["view_source"]) == ["reader", "name", "reader"]
    assert list(told.photos["caption"]) == [
        "a photo of ohwx t-shirt, back view, at the beach",
        "a photo of ohwx t-shirt, front view, at the beach",
        "ohwx t-shirt, as we sell it",
    ]
    assert told.photos["composed"][0] == "a photo of ohwx t-shirt, back view"
    assert (told.attributes["pattern"], told.sources["pattern"]) == ("striped", "reader")
    assert read_garment(settings, 64, 8, tmp_path / "cache").photos["caption"][0] == "a photo of ohwx t-shirt"


def test_tiny_reads_a_person_and_a_place_in_drawn_photos() -> None:
    reader = load_reader("tiny")
    assert reader is not None
    right = 0
    for seed in range(12):
        garment = sample_garment(seed, "held_out")
        view, scene = ("worn", "night city") if seed % 2 else ("front", "grey studio")
        shot = sample_shot(seed, garment, view, scene)
        choice = read_view(reader, Image.fromarray(photograph(garment, shot, 96).image), garment.kind)
        right += (choice.word == "worn") == (view == "worn")
    assert right >= 10


def test_a_model_of_open_clip_is_read_from_its_folder(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    towers = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    config = {"model_cfg": towers, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    model = open_clip.CLIP(**towers)
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    reader = load_reader(str(tmp_path))
    assert reader is not None
    shares = reader.probabilities(GREY, ["a tee", "a dress", "a boot"])
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    assert len(shares) == 3
    assert shares == reader.probabilities(GREY, ["a tee", "a dress", "a boot"])
    again = load_reader(str(shutil.copytree(tmp_path, tmp_path / "again")))
    assert again is not None
    assert again.probabilities(GREY, ["a tee", "a dress"]) == reader.probabilities(GREY, ["a tee", "a dress"])


@pytest.mark.parametrize("name", ["nowhere", "hf-hub:lapel-tests/not-there", "."])
def test_a_reader_that_is_not_at_hand_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        load_reader(name)
    (line,) = error.value.lines
    assert line.startswith(f"{name}: ")
    assert "--reader takes" in line
    assert "\n" not in line
