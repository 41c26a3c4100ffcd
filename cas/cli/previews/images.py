"""Previews of images: format and size from the head, and a small picture, by Pillow."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from cas.cli.previews.preview import Picture, Preview, Source, TooMuchToReadError

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".ico",
)
# Only what is decoded by Pillow itself: others run programs, or read what a file points at.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO")
# As many as a camera has; the pixels of an image that claims more would take hundreds of MiB.
MOST_PIXELS = 64_000_000
THUMBNAIL = (800, 480)
WHERE_PILLOW = "to see it: pip install 'cas-store[preview]'"
_PAPER = (255, 255, 255)


def preview_image(source: Source) -> Preview:
    """Return what an image is, and a small picture of it.

    Raises:
        ValueError: it is none.
    """
    try:
        from PIL import Image, UnidentifiedImageError  # an extra, and 30 ms
    except ImportError:
        return Preview(kind="image", summary="image", remark=WHERE_PILLOW)
    # It logs what is odd about an image; what has no handler would be printed.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with source.open() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pixels there is a limit of our own
        try:
            image: Any = Image.open(file, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            remark = f"not drawn: {_first_line(error)}"
            return Preview(kind="image", summary="image", remark=remark)
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError("no image that Pillow reads") from error
        width, height = image.size
        summary = f"{image.format} image, {width:,} x {height:,}, {image.mode}"
        facts = {"format": image.format, "width": width, "height": height, "mode": image.mode}
        picture, remark = None, ""
        if width * height > MOST_PIXELS:
            remark = f"not drawn: {width * height:,} pixels are more than {MOST_PIXELS:,}"
        else:
            try:
                picture = _shrink(image)
            except TooMuchToReadError:
                remark = "not drawn: it would take too much reading"
            except Exception as error:  # noqa: BLE001 a decoder may fail in any way on damage
                remark = f"not drawn: {_first_line(error)}"
    return Preview(kind="image", summary=summary, facts=facts, picture=picture, remark=remark)


def _shrink(image: Any) -> Picture:
    from PIL import Image, ImageOps  # as above

    image.draft("RGB", THUMBNAIL)  # a JPEG is decoded at a fraction of its size
    image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA" if "transparency" in image.info or "A" in image.mode else "RGB")
    image.thumbnail(THUMBNAIL)
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, _PAPER)
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    return Picture(image.width, image.height, image.tobytes())


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
