"""The garments nearest to a sentence are found exactly, and the index is kept for as long as nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lapel.errors import UserError
from lapel.fidelity.readers import load_towers
from lapel.generation.retrieve import Catalogue, RetrievalSettings, find_garments, write_found
from lapel.generation.shown import garment_in
from lapel.photos.catalogue import read_catalogue
from lapel.wardrobe import sample_garment, with_article


def wardrobe(number: int, cache: Path) -> Catalogue:
    settings = RetrievalSettings(f"wardrobe:{number}", "a dress").listed()
    return read_catalogue(settings, 96, 8, cache)


class ByColour:
    """Towers that see the mean colour, and read one of three."""

    fingerprint = "by colour"
    looked = 0

    def embed_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        self.looked += len(images)
        means = [255 - np.asarray(image, np.float32).reshape(-1, 3).mean(0) for image in images]
        return torch.nn.functional.normalize(torch.tensor(np.stack(means)), dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.eye(3)[[["cyan", "magenta", "yellow"].index(text.split()[-1]) for text in texts]]


def test_the_nearest_are_those_of_all_likenesses(tmp_path: Path) -> None:
    catalogue, towers = wardrobe(12, tmp_path), ByColour()
    means = towers.embed_images(catalogue.photos["cutout"])
    garments = torch.tensor(list(catalogue.photos["garment"]))
    vectors = torch.stack([means[garments == number].sum(0) for number in range(12)])
    likeness = torch.nn.functional.normalize(vectors, dim=-1) @ towers.embed_texts(["a photo of magenta"])[0]
    best = likeness.argsort(descending=True)[:5].tolist()
    found = find_garments(catalogue, towers, "magenta", 5, tmp_path)
    assert [garment.sku for garment in found] == [f"wardrobe-{number}" for number in best]
    np.testing.assert_allclose([garment.likeness for garment in found], likeness[best], atol=1e-5)
    assert found[0].class_word == sample_garment(5_000_000 + best[0]).kind
    for garment in found:  # of the garment, and nothing of the photo
        drawn = sample_garment(5_000_000 + int(garment.sku.split("-")[1]))
        assert garment.words in (drawn.words(), with_article(drawn.words()))
    assert len(find_garments(catalogue, towers, "cyan", 99, tmp_path)) == 12


def test_the_index_is_kept_by_content(tmp_path: Path) -> None:
    towers = ByColour()
    for _ in range(2):
        find_garments(wardrobe(3, tmp_path), towers, "cyan", 1, tmp_path)
    assert towers.looked == 3 * 6
    find_garments(wardrobe(4, tmp_path), towers, "cyan", 1, tmp_path)
    assert towers.looked == 3 * 6 + 4 * 6
    towers.fingerprint = "others"
    find_garments(wardrobe(4, tmp_path), towers, "cyan", 1, tmp_path)
    assert towers.looked == 3 * 6 + 2 * 4 * 6
    assert len(list(tmp_path.glob("garments-*.faiss"))) == 3


def test_what_is_found_is_what_the_sentence_says(tmp_path: Path) -> None:
    """`tiny`'s towers, among 60 garments: the one meant is among the nearest three."""
    catalogue, towers = wardrobe(60, tmp_path), load_towers("tiny")
    right = []
    for number in range(0, 60, 3):
        words = with_article(sample_garment(5_000_000 + number).words())
        found = find_garments(catalogue, towers, words, 3, tmp_path)
        right.append(f"wardrobe-{number}" in [garment.sku for garment in found])
    assert np.mean(right) >= 0.8


def test_photos_that_are_found_are_shown_as_they_were(tmp_path: Path) -> None:
    found = find_garments(wardrobe(3, tmp_path), ByColour(), "yellow", 2, tmp_path)
    paths = write_found(found, tmp_path / "out")
    assert [path.name[:8] for path in paths] == ["found-1-"] * 2 + ["found-2-"] * 2
    photo, mask = garment_in(paths[0])
    assert mask.tobytes() == found[0].photos[0][1].tobytes()
    inside = np.asarray(mask) == 255
    assert (np.asarray(photo)[inside] == np.asarray(found[0].photos[0][0])[inside]).all()


def test_half_a_search_is_refused(tmp_path: Path) -> None:
    for catalogue, query, said in (("wardrobe:9", "", "--query"), (None, "a dress", "--catalogue")):
        with pytest.raises(UserError, match=said):
            RetrievalSettings(catalogue, query)
    with pytest.raises(UserError, match="no catalogue"):
        RetrievalSettings(str(tmp_path / "none"), "a dress").listed()
    with pytest.raises(UserError, match="at least 1"):
        RetrievalSettings("wardrobe:9", "a dress", nearest=0)
