"""Templates, and pictures inside a page, so that a page is one whole file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import io
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lapel.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL import Image

Form = Literal["webp", "jpeg"]

DRAWING = ("uplot.css", "uplot.min.js", "charts.js")
"""What a page with curves needs beside the common parts: uPlot, and how the pages use it."""


def read_template(name: str) -> str:
    """The text of one of the package's own templates."""
    return resources.files("lapel.report").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def environment(escaped: bool) -> Environment:
    """A Jinja environment on the package's templates; `escaped` where they are HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(read_template),
        autoescape=escaped,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = in_words
    return made


def render_page(name: str, extras: tuple[str, ...] = (), **values: Any) -> str:
    """An HTML page from one of the package's templates, in the pages' common style; text in `values` is escaped.

    `extras` names further styles (.css) and scripts (.js) of the package. The page's own Content-Security-Policy allows
    these scripts by their hashes and pictures in data URLs, and nothing else: neither a request nor another script.
    """
    styles = [read_template(file) for file in ("style.css", *extras) if file.endswith(".css")]
    scripts = [read_template(file) for file in ("page.js", *extras) if file.endswith(".js")]
    hashes = " ".join(f"'sha256-{_sha256_base64(script)}'" for script in scripts)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'"
    template = environment(escaped=True).get_template(name)
    return template.render(styles=styles, scripts=scripts, policy=policy, **values)


def _sha256_base64(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def read_picture(path: Path) -> Image.Image:
    """A picture file, read whole, with the texts in it.

    Raises:
        UserError: it is broken, no picture, or larger than Pillow takes for harmless.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it, and the page goes without it") from None


def encoded(image: Image.Image, longest: int, form: Form = "webp") -> bytes:
    """A picture file of at most `longest` pixels a side; a WebP keeps transparency."""
    image = image if image.mode == "RGBA" and form == "webp" else image.convert("RGB")
    if max(image.size) > longest:
        image = image.copy()
        image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, form, quality=84)
    return buffer.getvalue()


def data_url(content: bytes, form: Form = "webp") -> str:
    """A picture file as a URL that holds it."""
    return f"data:image/{form};base64," + base64.b64encode(content).decode("ascii")


def embedded(image: Image.Image, longest: int, form: Form = "webp") -> str:
    """A picture of at most `longest` pixels a side as a data URL."""
    return data_url(encoded(image, longest, form), form)


def in_words(value: Any) -> str:
    """A setting or a fact for people: numbers short, lists by commas, and a dash for what is not set."""
    if value is None or value == "":
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    return str(value)
