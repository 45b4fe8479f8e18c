"""Pictures in a report: inside the file where they are small, reduced and linked where not."""

import base64
import io
import os
import pathlib
import struct
import urllib.parse
import zlib

from aa_jax.training.report_run import Picture, Run
from aa_jax.training.report_text import escape, format_bytes, format_number

LARGEST_EMBEDDED = 3 * 2**19  # bytes of a picture that is put in as it is
LARGEST_THUMBNAIL = 2**18  # the same in a timeline
LARGEST_REPORT = 48 * 2**20  # bytes of all pictures together
LARGEST_PIXELS = 2**26  # of a picture that is decoded, here or by a browser
MOST_IN_TIMELINE = 24
MOST_OTHERS = 40
_WIDE, _NARROW = 1600, 480  # longer side of reduced pictures, in pixels


class Album:
    """Puts pictures into one report, and keeps count of their size.

    Args:
        folder: of the report, from which larger pictures are linked.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._left = LARGEST_REPORT

    def of_run(self, run: Run) -> str:
        """The pictures of a run as HTML, empty if there are none."""
        newest = run.fakes[-1] if run.fakes else None
        pair = []
        if run.reals:
            pair.append(self.figure(run.reals, "Real"))
        if newest:
            pair.append(self.figure(newest[1], f"Generated, {format_number(newest[0])} kimg"))
        elif run.first:
            pair.append(self.figure(run.first, "Generated, before training"))
        parts = [f'<div class="pair">{"".join(pair)}</div>'] if pair else []
        parts.append(self._timeline(run))
        if run.pictures:
            others = [self.figure(it, it.path.stem) for it in run.pictures[:MOST_OTHERS]]
            parts.append("<h3>Others</h3>" + f'<div class="pair">{"".join(others)}</div>')
        more = len(run.pictures) - MOST_OTHERS
        if more > 0:
            parts.append(f'<p class="soft">{more} more lie in the folder.</p>')
        return "\n".join(filter(None, parts))

    def _timeline(self, run: Run) -> str:
        entries = [("before training", run.first)] if run.first else []
        entries += [(f"{format_number(kimg)} kimg", it) for kimg, it in run.fakes]
        if len(entries) < 2:
            return ""
        shown = _evenly(len(entries), MOST_IN_TIMELINE)
        thumbnails = [self.figure(entries[it][1], entries[it][0], small=True) for it in shown]
        of = f" ({len(shown)} of {len(entries)})" if len(shown) < len(entries) else ""
        return f'<h3>Timeline{of}</h3>\n<div class="strip">{"".join(thumbnails)}</div>'

    def figure(self, picture: Picture, caption: str, *, small: bool = False) -> str:
        """One picture with a caption, linked to its file.

        What is not small is reduced first; what can't be, or no longer fits, is only linked.
        """
        link = _relative_url(picture.path, self._folder)
        source, remark = self._source(picture, small)
        width, height = picture.size
        said = f'{escape(caption)} <span class="soft">{escape(remark)}</span>'
        if source is None:
            return f'<figure><figcaption><a href="{link}">{said}</a></figcaption></figure>'
        self._left -= len(source)
        image = (
            f'<img src="{source}" alt="{escape(caption)}" width="{width}" height="{height}" '
            'loading="lazy">'
        )
        return f'<figure><a href="{link}">{image}</a><figcaption>{said}</figcaption></figure>'

    def _source(self, picture: Picture, small: bool) -> tuple[str | None, str]:
        """A data URL, or None, and a remark."""
        width, height = picture.size
        about = f"({width} × {height}, {format_bytes(picture.bytes)}"
        if width * height > LARGEST_PIXELS:
            return None, f"{about}, too large to show)"
        largest = LARGEST_THUMBNAIL if small else LARGEST_EMBEDDED
        if picture.bytes <= largest:
            with open(picture.path, "rb") as file:
                content, kind, remark = file.read(largest), "png", ""
        else:
            content, kind = _reduced(picture.path, _NARROW if small else _WIDE), "jpeg"
            if content is None:
                return None, f"{about}, can't be read)"
            remark = "" if small else f"{about}, reduced here)"
        source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
        if len(source) > self._left:
            return None, f"{about}, only linked: the report has enough pictures)"
        return source, remark


def _evenly(total: int, most: int) -> list[int]:
    """Up to `most` of the indices below `total`, the first and the last among them."""
    if total <= most:
        return list(range(total))
    return [round(index * (total - 1) / (most - 1)) for index in range(most)]


def _relative_url(path: pathlib.Path, folder: pathlib.Path) -> str:
    """The URL of a file as seen from a folder; safe inside quotes, since all else is encoded."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    # A dot in front, so that no first part can be taken for a scheme.
    return "./" + urllib.parse.quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")


def _reduced(path: pathlib.Path, side: int) -> bytes | None:
    """The picture as a JPEG of at most `side` pixels; None if it can't be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            image = image.convert("RGBA") if "A" in image.getbands() else image.convert("RGB")
            image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
            if image.mode == "RGBA":
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image).convert("RGB")
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=88)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error):
        return None
    return buffer.getvalue()
