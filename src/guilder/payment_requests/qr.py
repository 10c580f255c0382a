"""QR codes of links."""

import io

import segno

_PIXELS_PER_MODULE = 8


def svg_of(text: str) -> bytes:
    """Return a text as a QR code: an SVG document with the quiet zone that scanners need.

    Error correction is at least M: 15 % of a code on a screen or a receipt may be unreadable.
    """
    out = io.BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(out, kind="svg", scale=_PIXELS_PER_MODULE, light="white", title="Payment link")
    return out.getvalue()
