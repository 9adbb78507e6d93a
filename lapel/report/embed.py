"""Templates, and pictures inside a page, so that a page is one whole file."""

from __future__ import annotations

import base64
import io
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


def read_template(name: str) -> str:
    """The text of one of the package's own templates."""
    return resources.files("lapel.report").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def render_page(name: str, **values: Any) -> str:
    """An HTML page from one of the package's templates, in the pages' common style; text in `values` is escaped."""
    from jinja2 import Environment, FunctionLoader

    environment = Environment(
        loader=FunctionLoader(read_template), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.get_template(name).render(style=read_template("style.css"), **values)


def embedded(image: Image.Image, longest: int) -> str:
    """A JPEG of at most `longest` pixels a side as a data URL."""
    image = image.convert("RGB")
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _number(value: Any) -> str:
    """Numbers short, everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return str(value) if isinstance(value, int) else f"{value:.4g}"
