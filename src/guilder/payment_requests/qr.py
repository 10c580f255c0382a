"""QR codes of links."""

import io
from typing import Any, Final

import segno

_LOOK: Final[dict[str, Any]] = {"scale": 8, "light": "white", "title": "Payment link"}
"""`scale`: pixels per module."""


def svg_of(text: str) -> bytes:
    """Return a text as a QR code: an SVG document with the quiet zone that scanners need.

    Error correction is at least M: 15 % of a code on a screen or a receipt may be unreadable.
    """
    out = io.BytesIO()
    _code(text).save(out, kind="svg", **_LOOK)
    return out.getvalue()


def inline_svg_of(text: str) -> str:
    """Return the same to stand within a page, which gives it its size."""
    return str(_code(text).svg_inline(**_LOOK, omitsize=True))


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")
