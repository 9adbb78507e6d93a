"""Weights in prompts: read as WebUI reads them, encoded as it encodes them, and nothing where nothing is weighed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lapel.base.base import Base
from lapel.base.emphasis import edits, escaped, is_plain, pieces_of, text_of
from lapel.base.prompts import encode_windows, windows_of


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red shirt", [("a red shirt", 1.0)]),
        ("a (red) [plain] shirt", [("a ", 1.0), ("red", 1.1), (" ", 1.0), ("plain", 1 / 1.1), (" shirt", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        ("[unbalanced", [("unbalanced", 1 / 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        ("a (b [c] d:1.5) e", [("a ", 1.0), ("b ", 1.5), ("c", 1.5 / 1.1), (" d", 1.5), (" e", 1.0)]),
        ("((a: 0.5 ) b:2)", [("a", 1.0), (" b", 2.0)]),
        ("a) b: c", [("a) b: c", 1.0)]),
        ("(a:1) b", [("a b", 1.0)]),
        ("", [("", 1.0)]),
    ],
)
def test_prompts_are_read_as_webui_reads_them(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = pieces_of(prompt)
    assert [piece.text for piece in found] == [text for text, _ in expected]
    assert [piece.weight for piece in found] == pytest.approx([weight for _, weight in expected])


def test_a_break_ends_a_window() -> None:
    assert [(piece.text, piece.breaks) for piece in pieces_of("a (b BREAK c:1.2)")] == [
        ("a ", False),
        ("b", False),
        ("", True),
        ("c", False),
    ]
    assert not is_plain(pieces_of("a BREAK b"))
    assert [piece.text for piece in pieces_of("BREAKFAST")] == ["BREAKFAST"]


@given(st.text())
def test_what_is_escaped_is_meant(text: str) -> None:
    pieces = pieces_of(escaped(text).replace("BREAK", "break"))
    assert is_plain(pieces) and text_of(pieces) == text.replace("BREAK", "break")


@given(st.text("ab ()[]\\:.19|", max_size=30))
def test_every_text_can_be_read(text: str) -> None:
    pieces = pieces_of(text)
    assert pieces and all(piece.weight == piece.weight for piece in pieces)


def test_prompt_editing_is_told() -> None:
    for prompt in ("a [cat:dog:0.5] on", "[cat|dog]", "[fog:10]", "[cat::0.5]"):
        assert edits(prompt)
    for prompt in ("a [cat] on", r"\[cat|dog\]", "cat|dog", "[a: b]", "(cat:1.2)", "[(cat:1.2)]"):
        assert edits(prompt) is None, prompt


def encoded(base: Base, *prompts: str, count: int = 1) -> dict[str, torch.Tensor]:
    return encode_windows(base.tokenizers, base.text_encoders, [pieces_of(prompt) for prompt in prompts], count)


@pytest.mark.parametrize("name", ["tiny", "sdxl"])
def test_a_weight_of_one_changes_no_bit(name: str, request: pytest.FixtureRequest) -> None:
    base: Base = request.getfixturevalue(name)
    plain = base.encode_text(["a red shirt, front view"])
    for key, value in encoded(base, "a (red:1) shirt, ((front:0.5):2) view").items():
        assert torch.equal(value, plain[key])
    # Beside a weighed one, in a second window, and in a batch.
    both = encoded(base, "a (red:1.5) shirt", "a red shirt, front view")
    assert torch.equal(
        both["prompt_embeds"][1:], base.encode_text(["a red shirt, front view"] * 2)["prompt_embeds"][1:]
    )
    long = "a " * 75 + "(red:1.3) shirt"
    weighed = encoded(base, long, count=2)["prompt_embeds"]
    unweighed = base.encode_text([text_of(pieces_of(long))])["prompt_embeds"]
    assert torch.equal(weighed[:, :77], unweighed[:, :77]) and not torch.equal(weighed[:, 77:], unweighed[:, 77:])


@pytest.mark.parametrize("name", ["tiny", "sdxl"])
def test_weights_are_those_of_webui(name: str, request: pytest.FixtureRequest) -> None:
    """Each encoder's tokens are multiplied, and its window's mean brought back; the pooled output is left alone."""
    base: Base = request.getfixturevalue(name)
    text = base.encode_text(["a red shirt"])
    tokens = base.tokenizers[0]("a red shirt").input_ids
    red = tokens.index(base.tokenizers[0]("red", add_special_tokens=False).input_ids[0])
    factor = torch.ones(77)
    factor[red : red + len(base.tokenizers[0]("red", add_special_tokens=False).input_ids)] = 1.4
    expected = []
    for part in text["prompt_embeds"][0].split([e.config.hidden_size for e in base.text_encoders], dim=-1):
        weighed = part * factor[:, None]
        expected.append(weighed * (part.mean() / weighed.mean()))
    found = encoded(base, "a (red:1.4) shirt")
    torch.testing.assert_close(found["prompt_embeds"][0], torch.cat(expected, dim=-1))
    if name == "sdxl":
        assert torch.equal(found["pooled_prompt_embeds"], text["pooled_prompt_embeds"])


def test_windows_keep_weights_and_breaks(tiny: Base) -> None:
    tokenizer = tiny.tokenizers[0]
    (first, second) = windows_of(tokenizer, pieces_of("a " * 74 + "(red shirt:1.3)"))
    assert [token.weight for token in first] == [1.0] * 74 + [1.3] and {token.weight for token in second} == {1.3}
    assert [len(window) for window in windows_of(tokenizer, pieces_of("a red BREAK shirt"))] == [2, 1]
    whole = encoded(tiny, "a red BREAK shirt", count=2)["prompt_embeds"]
    apart = [tiny.encode_text([text])["prompt_embeds"] for text in ("a red", "shirt")]
    torch.testing.assert_close(whole, torch.cat(apart, dim=1))


def test_captions_are_as_they_are(tiny: Base) -> None:
    """What a training reads has no marks: its brackets are brackets."""
    tokenizer = tiny.tokenizers[0]
    assert (
        tiny.tokenize(["a (red:1.4) shirt"])[0][0, 0].tolist()
        == tokenizer("a (red:1.4) shirt", padding="max_length", max_length=77).input_ids
    )
