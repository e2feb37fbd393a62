"""One image file: the pixels that OpenCV, which reads for training, makes of it, and those that people see.

Training reads with ``cv2.imdecode(content, cv2.IMREAD_COLOR)``, mmcv's default. Pillow stands for what people
see. Both leave transparency out.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from mtpd import files

ORIENTATION = 0x112  # the EXIF tag
SIGNS_OF_EXIF = (
    b"eXIf",
    b"Raw profile type",
    b"XML:com.adobe.xmp",
)  # names of chunks in a PNG, or their starts
BITS = 258  # the TIFF tag: of a value
# In these, OpenCV and Pillow give the same pixels (tests/test_datasets_pixels.py), so one of them is enough.
# What OpenCV cannot decode of these is damaged.
READ_ALIKE = ("JPEG", "MPO", "PNG", "BMP", "WEBP")
JPEGS = ("JPEG", "MPO")  # the second has several images
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
NO_BRIGHTNESS = ("I", "F")  # modes of 32 bits: nothing says which value is white
ROUNDING = 16  # of 255: decoders of lossy forms differ a little
# The brightest value of an image with 16 bits, made 8. Cameras of 10 to 14 bits give less: nearly black.
DARK = 64
GREY = 128  # what JPEG decoders put where data are missing
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")  # chunks
ALONE = (0x01, *range(0xD0, 0xD8))  # JPEG markers without a length
ZEROS = bytes(64)

Size = tuple[int, int]


def examine(path: Path, content: bytes, decode: bool) -> tuple[Size | None, str | None, bool]:
    """What training makes of an image file.

    Args:
        path: for messages.
        content: the bytes of the file.
        decode: decode also images whose header says what will come of them.

    Returns:
        Width and height as trained, in pixels; what is wrong; and whether ``convert`` puts it right. The size
        is then that of the converted image.
    """
    try:
        header = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError:  # above Pillow's limit; OpenCV's is higher
        return _without_pillow(content)
    except Exception:  # Pillow's readers raise errors of many kinds for damaged files
        return None, _what_it_is(path, content), False
    early = f"ends too early (the end of the {header.format} is missing): copy or download it again"
    if not _has_its_end(content, header.format):
        return None, early, False
    risky = _is_risky(header, content)
    alike = not risky and _is_read_alike(header, content)
    if alike and not decode:
        return header.size, None, False
    trained = None if risky else _trained(content)
    if trained is None and header.format in READ_ALIKE and not risky:
        text = f"is damaged or ends too early: OpenCV cannot decode it to the end ({header.format})"
        return None, text, False
    if header.format in JPEGS and _runs_out(trained, content):
        return None, early, False
    if alike and trained.shape[1::-1] == header.size:
        return _judged(trained, header, content)
    return _compared(trained, content, header)


def convert(path: Path, target: Path) -> None:
    """Write an image as people see it, as PNG of 8 bits, turned as EXIF says; of several frames, the first.

    Raises:
        ValueError: Pillow cannot read it, nothing says how bright its values are, or it is too large for PNG.
    """
    pixels = _viewed(path.read_bytes())
    if pixels is None:
        raise ValueError(f"{path}: cannot be converted to PNG: Pillow cannot decode it")
    done, encoded = cv2.imencode(".png", pixels)
    if not done:  # a side above a million pixels
        raise ValueError(f"{path}: cannot be converted to PNG: {pixels.shape[1]} x {pixels.shape[0]} pixels")
    files.write_bytes(target, encoded.tobytes())


def _compared(trained: np.ndarray | None, content: bytes, header: Image.Image):
    """The result of ``examine``, by the pixels."""
    kind = f"{header.format}, mode {header.mode}"
    if header.mode in NO_BRIGHTNESS:
        text = f"has values of 32 bits ({kind}), and nothing says which is white: save it with 8 bits"
        return None, text, False
    seen = _viewed(content)
    if seen is None:
        if trained is None:
            return None, f"is damaged or ends too early: Pillow cannot decode it ({kind})", False
        return _judged(trained, header, content)
    if trained is not None and trained.shape == seen.shape and cv2.absdiff(trained, seen).max() <= ROUNDING:
        return _judged(trained, header, content)
    size, problem, _ = _judged(seen, header, content)
    if problem:
        return size, problem, False
    why = "cannot be relied on to read it" if trained is None else "gives other pixels than viewers of images"
    return size, f"OpenCV, which reads for training, {why} ({kind})", True


def _judged(pixels: np.ndarray, header: Image.Image, content: bytes):
    """The result of ``examine`` for pixels that can be trained, unless they are nearly black."""
    if _has_16_bits(header, content) and pixels.max() < DARK:
        text = (
            f"is nearly black when its 16 bits become 8 (the brightest value is {pixels.max()} of 255):"
            " scale its values"
        )
        return None, text, False
    return pixels.shape[1::-1], None, False


def _without_pillow(content: bytes):
    """The result of ``examine`` for very large images."""
    trained = _trained(content)
    if trained is None:
        return None, "is damaged or too large: OpenCV cannot decode it", False
    return trained.shape[1::-1], None, False


def _trained(content: bytes) -> np.ndarray | None:
    """Height x width x 3, BGR."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an empty file, or one above OpenCV's limit of pixels
        return None


def _viewed(content: bytes) -> np.ndarray | None:
    """Height x width x 3, BGR, as people see it."""
    try:
        image = Image.open(io.BytesIO(content))
        with contextlib.suppress(SyntaxError):  # damaged EXIF data turn nothing
            image = ImageOps.exif_transpose(image)
        if image.mode in NO_BRIGHTNESS:
            return None
        if image.mode.startswith("I;16"):  # Pillow would clip values above 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return np.asarray(image.convert("RGB"))[:, :, ::-1].copy() if all(image.size) else None
    except Exception:  # see examine
        return None


def _is_risky(header: Image.Image, content: bytes) -> bool:
    """Forms of which damaged files end the process in OpenCV 4.11, by a segmentation fault."""
    return header.format == "JPEG2000" or (header.format == "PNG" and b"acTL" in _chunks(content))


def _is_read_alike(header: Image.Image, content: bytes) -> bool:
    if header.format not in READ_ALIKE or header.mode not in MODES:
        return False
    if header.format == "PNG" and not any(chunk.startswith(SIGNS_OF_EXIF) for chunk in _chunks(content)):
        return True  # Pillow would decode a PNG to look for EXIF data behind the image
    try:
        data = header.getexif()
    except Exception:  # see examine
        return False
    damaged = "exif" in header.info and not data  # OpenCV may read what Pillow does not
    return not damaged and data.get(ORIENTATION, 1) == 1


def _has_16_bits(header: Image.Image, content: bytes) -> bool:
    if header.format == "PNG":
        return content[24] == 16  # in its first chunk
    if header.format == "TIFF":
        return 16 in np.atleast_1d(header.tag_v2.get(BITS, 1))
    return header.mode.startswith("I;16")


def _what_it_is(path: Path, content: bytes) -> str:
    """What lies in the place of an image that Pillow does not know."""
    if instead := files.what_instead(path):
        return f"is {instead}"
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        return "is a HEIC image, as phones write them: save it as JPEG or PNG"
    return "is no image, or damaged: Pillow cannot read it"


def _has_its_end(content: bytes, form: str) -> bool:
    """False for files that were not written to the end. Decoders take zeros for data, too."""
    if form in JPEGS:
        return content.rfind(END_OF_IMAGE, _start_of_scan(content)) >= 0
    if form == "PNG":
        return b"IEND" in _chunks(content)
    if form == "JPEG2000":
        return END_OF_IMAGE in content
    return form not in ("WEBP", "AVIF") or not content.endswith(ZEROS)


def _runs_out(trained: np.ndarray, content: bytes) -> bool:
    """Whether the data of a JPEG end before its image, though an end is marked. More data would change it."""
    corners = trained[[0, 0, -1, -1], [0, -1, 0, -1]]
    if not (corners == GREY).all(axis=1).any():
        return False
    end = content.find(END_OF_IMAGE, _start_of_scan(content))
    return not np.array_equal(trained, _trained(content[:end] + b"U" * 1000 + content[end:]))


def _chunks(content: bytes) -> list[bytes]:
    """The names of the chunks of a PNG; of texts, their beginnings, which tell what they are."""
    found, place = [], 8
    while place + 12 <= len(content):
        name = content[place + 4 : place + 8]
        found.append(content[place + 8 : place + 28] if name in TEXTS else name)
        place += 12 + int.from_bytes(content[place : place + 4], "big")
    return found


def _start_of_scan(content: bytes) -> int:
    """Where the data of a JPEG begin: what is before can have a small image with an end of its own."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != START_OF_SCAN:
        if content[place + 1] in (0xFF, *ALONE):
            place += 1 if content[place + 1] == 0xFF else 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return place
