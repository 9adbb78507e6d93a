"""Which photo is shown for which: another view of the same garment, a pure function of the step, whoever shares it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from lapel.photos.catalogue import Catalogue
from lapel.training.encoding import Encoded, _cached
from lapel.training.pairs import Dropouts, PairBatches, partners

VIEWS = ("front", "front", "back", "worn", "detail")


def test_partners_are_in_another_view_of_the_same_garment() -> None:
    views = [*VIEWS, "worn", "worn", "front", "front", "detail", ""]
    found = partners([0] * 5 + [1] * 2 + [2] + [3] * 2 + [4], views)
    assert found[0] == found[1] == [2, 3]
    assert found[3] == [0, 1, 2]
    assert found[4] == [0, 1, 2, 3]  # a detail is drawn from what shows the garment whole
    assert found[5:7] == [[6], [5]]  # nothing but one view: the other photo
    assert found[7] == [7]  # one photo: itself
    assert found[8:10] == [[9], [8]]  # a detail is shown where nothing else is left
    assert found[10] == [10]


@pytest.fixture
def source(tmp_path: Path) -> tuple[Catalogue, Encoded, Encoded]:
    rows = [
        {
            "garment": garment,
            "view": view,
            "file": f"{garment}-{number}-{view}",
            "caption": view,
            "described": f"red {view}" if garment else view,
            "width": 8,
            "height": 8,
        }
        for garment in range(3)
        for number, view in enumerate(VIEWS)
    ]
    photos = Dataset.from_list(rows)
    numbers = Dataset.from_dict({"row": list(range(len(rows)))})

    def latents(row: dict[str, int], _: int) -> dict[str, torch.Tensor]:
        value = torch.full((4, 2, 2), float(row["row"]))
        return {"as_is.0.mean": value, "as_is.0.std": torch.zeros_like(value), "as_is.mask": torch.ones(1, 2, 2)}

    def features(row: dict[str, int], _: int) -> dict[str, torch.Tensor]:
        return {"features": torch.full((3, 5), float(row["row"])).half()}

    return (
        Catalogue("test", photos),
        _cached(numbers, latents, "a" * 32, tmp_path),
        _cached(numbers, features, "b" * 32, tmp_path),
    )


def batches(
    source: tuple[Catalogue, Encoded, Encoded], dropouts: Dropouts | None = None, **changes: int
) -> PairBatches:
    drawing = {"seed": 0, "batch_size": 4, "timesteps": 1000, **changes}
    return PairBatches(*source, torch.full((3, 5), -1.0), dropouts or Dropouts(), **drawing)


def test_what_is_shown_and_what_is_drawn_belong_together(source: tuple[Catalogue, Encoded, Encoded]) -> None:
    drawn, names = batches(source), list(source[0].photos["file"])
    seen = Counter()
    for step in range(60):
        batch = drawn.draw(step)
        for number, (file, shown) in enumerate(zip(batch.files, batch.shown, strict=True)):
            assert shown != file
            assert shown.split("-")[0] == file.split("-")[0]
            assert shown.split("-")[2] != file.split("-")[2]
            assert batch.latents[number].unique().tolist() == [names.index(file)]
            assert batch.features[number].unique().tolist() == [names.index(shown)]
            assert drawn.captions[batch.captions[number]] == file.split("-")[2]
            seen[file] += 1
    assert len(seen) == len(names)


def test_photo_caption_and_both_are_left_out_as_often_as_asked(source: tuple[Catalogue, Encoded, Encoded]) -> None:
    drawn = batches(source, Dropouts(image=0.1, text=0.2, both=0.3), batch_size=50)
    kinds = Counter()
    for step in range(60):
        batch = drawn.draw(step)
        no_photo = (batch.features == -1).flatten(1).all(dim=1)
        assert [not shown for shown in batch.shown] == no_photo.tolist()
        no_caption = batch.captions == len(drawn.captions) - 1
        assert batch.dropped == no_caption.nonzero()[:, 0].tolist()
        kinds.update(zip(no_photo.tolist(), no_caption.tolist(), strict=True))
    shares = {kind: count / kinds.total() for kind, count in kinds.items()}
    assert shares == pytest.approx(
        {(False, False): 0.4, (True, False): 0.1, (False, True): 0.2, (True, True): 0.3}, abs=0.03
    )


def test_the_first_steps_learn_from_descriptions_of_what_is_shown(source: tuple[Catalogue, Encoded, Encoded]) -> None:
    drawn = batches(source, Dropouts(image=0.3, text=0.3), batch_size=50, align_steps=3)
    assert [drawn.draw(step).aligning for step in range(5)] == [True] * 3 + [False] * 2
    batch = drawn.draw(0)
    for number, file in enumerate(batch.files):
        garment, _, view = file.split("-")
        caption, described = (drawn.captions[rows[number]] for rows in (batch.captions, batch.described))
        assert described == (caption if not batch.shown[number] else view if garment == "0" else f"red {view}")
        assert batch.taught[number] == (garment != "0" or not batch.shown[number])
    # Descriptions that nothing is learned from are not encoded.
    assert set(batches(source).captions) == {*VIEWS, ""}


def test_a_step_is_the_same_for_one_process_and_for_two(source: tuple[Catalogue, Encoded, Encoded]) -> None:
    dropouts = Dropouts(0.2, 0.2, 0.2)
    whole = batches(source, dropouts).draw(5)
    parts = [batches(source, dropouts, batch_size=2, rank=rank, world=2).draw(5) for rank in range(2)]
    assert whole.files == parts[0].files + parts[1].files
    for name in ("latents", "noise", "timesteps", "mask", "captions", "features", "described", "taught"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_the_name_tells_what_is_learned_from(source: tuple[Catalogue, Encoded, Encoded]) -> None:
    catalogue, latents, features = source
    captions = ["other", *catalogue.photos["caption"][1:]]
    changed = Catalogue("test", catalogue.photos.remove_columns("caption").add_column("caption", captions))
    assert batches(source).name == batches(source).name
    assert batches(source).name != batches((changed, latents, features)).name
