"""What garments the wardrobe holds, and how they are told in words."""

import pytest

from lapel.wardrobe import (
    COLOURS,
    KINDS,
    PATTERNS,
    SCENES,
    SIBLINGS,
    Garment,
    sample_garment,
    sample_siblings,
    split_of,
    with_article,
)
from lapel.wardrobe.vocabulary import PRINT_WORDS

PLAIN = Garment(
    "t-shirt", "short", "regular", "crew", False, "none", False, False, ("red",), "plain", "medium", "none", 0
)


def vary(**fields: object) -> Garment:
    return Garment(**{**PLAIN.__dict__, **fields})  # type: ignore[arg-type]


def test_the_wardrobe_is_as_wide_as_promised() -> None:
    assert len(KINDS) >= 10 and len(COLOURS) >= 16 and len(PATTERNS) >= 10 and len(SCENES) >= 8


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "red t-shirt"),
        ({"colours": ("red", "white"), "pattern": "striped"}, "red and white striped t-shirt"),
        ({"colours": ("red", "blue"), "pattern": "gradient"}, "red to blue gradient t-shirt"),
        ({"colours": ("red", "blue", "white"), "pattern": "plaid"}, "red, blue and white plaid t-shirt"),
        ({"neckline": "v", "print": "star"}, "red t-shirt with a v neck and a star print"),
        ({"print": "SUN"}, "red t-shirt with the word sun"),
        ({"kind": "dress", "length": "short", "sleeve": "long"}, "red dress, short cut with long sleeves"),
    ],
)
def test_words(fields: dict[str, object], words: str) -> None:
    assert vary(**fields).words() == words


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        ("orange dress", "an orange dress"),
        ("red t-shirt", "a red t-shirt"),
        ("blue denim trousers", "blue denim trousers"),
        ("white shorts", "white shorts"),
        ("unisex hoodie", "a unisex hoodie"),
        ("undershirt", "an undershirt"),
        ("one-shoulder dress", "a one-shoulder dress"),
        ("Olive polo shirt", "an Olive polo shirt"),
        ("ohwx t-shirt", "a ohwx t-shirt"),
    ],
)
def test_articles(words: str, phrase: str) -> None:
    assert with_article(words) == phrase


def test_the_splits_share_no_combination_of_kind_colour_and_pattern() -> None:
    train = {(g.kind, g.colours[0], g.pattern) for g in map(sample_garment, range(3000))}
    held_out = {(g.kind, g.colours[0], g.pattern) for g in (sample_garment(seed, "held_out") for seed in range(1000))}
    assert not train & held_out
    # Every word of a held-out garment is known from others.
    for position, names in ((0, KINDS), (1, COLOURS), (2, PATTERNS)):
        assert {combination[position] for combination in train} == set(names)
        assert len({combination[position] for combination in held_out}) > len(names) / 2


def test_siblings_differ_in_one_thing_and_keep_to_the_training_split() -> None:
    for seed in range(40):
        family = sample_siblings(seed)
        assert len(family) == SIBLINGS == len(set(family))
        assert all(split_of(g.kind, g.colours[0], g.pattern) == "train" for g in family)
        varied = [len({g.kind for g in family}), len({g.pattern for g in family}), len({g.colours[0] for g in family})]
        assert sorted(varied) == [1, 1, SIBLINGS]


def test_an_eighth_is_held_out() -> None:
    combinations = [(kind, colour, pattern) for kind in KINDS for colour in COLOURS for pattern in PATTERNS]
    share = sum(split_of(*combination) == "held_out" for combination in combinations) / len(combinations)
    assert abs(share - 1 / 8) < 0.01


def test_a_seed_gives_the_same_garment_for_ever() -> None:
    assert sample_garment(641, "held_out").words() == "white and orange striped t-shirt"
    assert sample_garment(0).words() == "navy to maroon gradient long sleeve shirt with a v neck"
    assert sample_garment(7) == sample_garment(7)


def test_every_printed_word_can_be_written() -> None:
    from lapel.wardrobe.prints import print_path

    for word in PRINT_WORDS:
        bounds = print_path(word, (0, 0), 1).getBounds()
        assert 0.9 < bounds.width() <= 1.53
        assert 0 < bounds.height() <= 0.9
