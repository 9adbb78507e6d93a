"""Captions with other words: complete, distinct, and the right one first."""

from __future__ import annotations

import pytest

from lapel.fidelity.alternatives import ATTRIBUTES, Subject
from lapel.wardrobe import COLOURS, KINDS, PATTERNS, SCENES, sample_garment


@pytest.mark.parametrize("seed", range(30))
def test_every_value_is_offered_once_and_the_right_one_first(seed: int) -> None:
    subject = Subject(sample_garment(seed, "held_out"), ("front", "worn")[seed % 2], SCENES[seed % len(SCENES)])
    others = len(subject.garment.colours) - 1
    counts = {"kind": len(KINDS), "main colour": len(COLOURS) - others, "pattern": len(PATTERNS), "scene": len(SCENES)}
    for attribute in ATTRIBUTES:
        texts = subject.alternatives(attribute)
        assert texts[0] == subject.caption()
        assert len(texts) == len(set(texts)) == counts[attribute]


def test_only_the_one_attribute_changes() -> None:
    subject = Subject(sample_garment(3, "held_out"), "front", "beach")
    kind = subject.garment.kind
    assert all(kind in text and "front view" in text for text in subject.alternatives("scene"))
    assert all("at the beach" in text for attribute in ATTRIBUTES[:3] for text in subject.alternatives(attribute))
