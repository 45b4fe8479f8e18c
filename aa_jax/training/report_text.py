"""Text for a report: numbers as people read them, and anything from a file made harmless."""

import html
import math
import re

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# What XML can't hold, and marks that turn the direction of the text around them.
_UNWANTED = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)


def escape(text: object, *, longest: int = 300) -> str:
    """Text for an element or a quoted attribute of HTML or SVG.

    Args:
        text: anything; its `str` is taken.
        longest: characters that are kept, with a mark where more follow.
    """
    text = str(text)
    if len(text) > longest:
        text = text[:longest] + "…"
    return html.escape(_UNWANTED.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)


def format_number(value: float | None, *, digits: int = 4) -> str:
    """A number with `digits` significant digits; whole numbers whole; a dash for None.

    >>> format_number(25000.0), format_number(-0.012345), format_number(2.5e-7)
    ('25\\u202f000', '−0.01234', '2.5×10⁻⁷')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e9):
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
        text = (
            mantissa.removesuffix("1") + power
            if abs(float(mantissa)) == 1
            else (f"{mantissa}×{power}")
        )
        return text.replace("-", "−")
    if value == round(value) or size >= 10**digits:
        return format_decimals(value, 0)
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return format_decimals(value, len(text.partition(".")[2]))


def format_decimals(value: float, decimals: int) -> str:
    """A number with so many decimals, a true minus and thin spaces between thousands."""
    rounded = round(value, decimals) or 0.0  # no minus before a zero
    return f"{rounded:,.{decimals}f}".replace(",", THIN_SPACE).replace("-", "−")


def format_duration(seconds: float) -> str:
    """The two largest units: "3 d 4 h", "12 min 5 s"."""
    seconds = round(seconds)
    for unit, size, smaller, small in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


def format_bytes(size: int) -> str:
    """1.4 MiB, 300 KiB."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{max(size // 1024, 1)} KiB"
