"""Batches are a pure function of seed and step, whole whoever shares them, and fair to every photo."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from lapel.training.data import Batches, Example


def example(name: str, height: int = 4, width: int = 4, std: float = 0.0) -> Example:
    mean = torch.full((4, height, width), float(ord(name)))
    return Example(name, f"caption of {name}", mean, torch.full_like(mean, std), torch.ones(1, height, width))


def batches(examples: list[Example], batch_size: int = 4, **changes: object) -> Batches:
    return Batches(examples, batch_size=batch_size, **{"seed": 0, "timesteps": 1000, **changes})  # type: ignore[arg-type]


def test_a_step_is_the_same_whenever_it_is_drawn() -> None:
    first, again = batches([example(n, std=1.0) for n in "abc"]), batches([example(n, std=1.0) for n in "abc"])
    for number in range(5):
        first.draw(number)
    for ours, theirs in ((first.draw(7, 1), again.draw(7, 1)),):
        assert ours.files == theirs.files
        for name in ("latents", "noise", "timesteps", "captions"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}, {"part": 1}])
def test_seed_step_and_part_each_give_other_noise(change: dict[str, int]) -> None:
    examples = [example("a")]
    one = batches(examples).draw(0, 0)
    other = batches(examples, seed=change.get("seed", 0)).draw(change.get("step", 0), change.get("part", 0))
    assert not torch.equal(one.noise, other.noise)


def test_what_is_hidden_is_all_or_a_part_in_the_share_that_is_asked_for() -> None:
    hidden = [replace(example(name), around=torch.arange(4.0)[:, None, None, None].expand(4, 5, 4, 4)) for name in "ab"]
    ways = Counter()
    for step in range(400):
        around = batches(hidden, text_to_image_share=0.4).draw(step).around
        assert around is not None
        assert around.shape == (4, 5, 4, 4)
        ways.update(around[:, 0, 0, 0].tolist())
    assert ways[0.0] / 1600 == pytest.approx(0.4, abs=0.04)
    assert [ways[float(way)] / 1600 for way in (1, 2, 3)] == pytest.approx([0.2] * 3, abs=0.04)
    usual, shown = batches([example("a")]).draw(3), batches(hidden[:1], text_to_image_share=0.4).draw(3)
    assert usual.around is None
    assert torch.equal(usual.noise, shown.noise)


def test_the_class_is_named_in_the_share_that_is_asked_for_and_nothing_else_changes() -> None:
    examples = [example(name, std=1.0) for name in "ab"]
    changes = {"caption_dropout": 0.2, "batch_size": 8}
    asked = batches(examples, class_share=0.25, of_class=lambda caption: caption[-1], **changes)
    usual, seen = batches(examples, **changes), Counter()
    assert asked.captions == ["caption of a", "caption of b", "a", "b", ""]
    assert usual.captions == ["caption of a", "caption of b", ""]
    assert asked.named == usual.named == 2
    for step in range(200):
        one, other = asked.draw(step), usual.draw(step)
        for name in ("latents", "noise", "timesteps"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        captions = [asked.captions[number] for number in one.captions.tolist()]
        assert one.dropped == [row for row, caption in enumerate(captions) if len(caption) < 2]
        assert all(
            caption in ("", file, f"caption of {file}") for caption, file in zip(captions, one.files, strict=True)
        )
        seen.update(map(len, captions))
    assert seen[0] / 1600 == pytest.approx(0.2, abs=0.04)
    assert seen[1] / 1600 == pytest.approx(0.25 * 0.8, abs=0.04)


def test_processes_share_one_batch() -> None:
    examples = [example(n, std=1.0) for n in "abcde"]
    whole = batches(examples, batch_size=6).draw(3)
    parts = [batches(examples, batch_size=3, rank=rank, world=2).draw(3) for rank in range(2)]
    assert whole.files == parts[0].files + parts[1].files
    for name in ("latents", "noise", "timesteps", "mask", "captions"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_photos_of_all_shapes_come_equally_often_and_never_mixed() -> None:
    source = batches([example("a"), example("b"), example("c"), example("d", 2, 8)], batch_size=2)
    drawn = [source.draw(step) for step in range(600)]
    for batch in drawn:
        assert len({batch.latents.shape[2:]}) == 1
        assert batch.files == ["d", "d"] or "d" not in batch.files
    counts = Counter(file for batch in drawn for file in batch.files)
    for count in counts.values():
        assert count == pytest.approx(300, rel=0.2)


def test_a_photo_comes_twice_only_after_all_came_once() -> None:
    source = batches([example(n) for n in "abcdef"])
    assert all(len(set(source.draw(step).files)) == 4 for step in range(50))


def test_latents_are_drawn_anew_with_the_posteriors_spread() -> None:
    source = batches([example("a", std=0.5)], batch_size=64)
    latents = source.draw(0).latents
    assert latents.mean().item() == pytest.approx(ord("a"), abs=0.1)
    assert latents.std().item() == pytest.approx(0.5, rel=0.1)
    assert not torch.equal(latents, source.draw(1).latents)


def test_timesteps_cover_the_range_evenly() -> None:
    source = batches([example("a")], batch_size=10)
    times = torch.cat([source.draw(step).timesteps for step in range(200)])
    assert times.min() >= 0
    assert times.max() <= 999
    assert torch.histc(times.float(), 10, 0, 1000).tolist() == [200.0] * 10


def test_photos_and_their_backdrops_come_as_often_as_asked_for() -> None:
    def on(name: str) -> Example:
        return replace(example(name), caption=f"{name} on red", on_backdrop=True)

    examples = [example("a"), on("b"), on("c"), on("d"), example("e"), example("f"), on("g")]
    source = batches(examples, batch_size=3, photo_share=0.25)
    drawn = [source.draw(step).files for step in range(800)]
    photo_of = dict(zip("abcdefg", "aaaaeff", strict=True))
    assert all(sorted(photo_of[file] for file in files) == ["a", "e", "f"] for files in drawn)
    counts = Counter(file for files in drawn for file in files)
    assert counts["e"] == 800
    assert counts["a"] == pytest.approx(200, rel=0.2)
    assert counts["f"] == pytest.approx(200, rel=0.2)
    for name in "bcd":
        assert counts[name] == pytest.approx(200, rel=0.2)
    assert counts["g"] == 800 - counts["f"]
    assert source.captions[int(source.draw(0).captions[0])] in {e.caption for e in examples}


def test_a_share_of_one_leaves_backdrops_out_and_changes_nothing_else() -> None:
    examples = [example("a", std=1.0), replace(example("b"), on_backdrop=True), example("c", std=1.0)]
    one, without = batches(examples, photo_share=1.0), batches([examples[0], examples[2]])
    for step in range(5):
        ours, theirs = one.draw(step), without.draw(step)
        assert ours.files == theirs.files
        assert torch.equal(ours.latents, theirs.latents)
        assert torch.equal(ours.timesteps, theirs.timesteps)


def test_caption_dropout_gives_the_empty_caption() -> None:
    source = batches([example("a"), example("b")], batch_size=8, caption_dropout=0.25)
    assert source.captions == ["caption of a", "caption of b", ""]
    rows = torch.cat([source.draw(step).captions for step in range(200)])
    assert (rows == 2).float().mean().item() == pytest.approx(0.25, abs=0.04)
    assert source.captions[int(batches([example("b")]).draw(0).captions[0])] == "caption of a"
