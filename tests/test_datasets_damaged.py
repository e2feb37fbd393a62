"""Image files that are damaged, end too early or are none: told, and never trained."""

import numpy as np
import pytest
from image_files import COLOURS, CONVERTED, PICTURE, SOUND, encoded, examine, sixteen_bits
from PIL import Image

from mtpd.datasets import pixels


@pytest.mark.parametrize("kind", ["JPEG 2000", "animated PNG"])
def test_opencv_is_not_given_what_it_may_crash_on(kind, tmp_path, monkeypatch):
    """A damaged file of these ended the process."""
    monkeypatch.setattr(pixels, "_trained", lambda content: pytest.fail("it was decoded"))
    for place in (46, 60, 700):
        damaged = bytearray(CONVERTED[kind])
        damaged[place] ^= 7
        examine(tmp_path, bytes(damaged))


def cut(content, share):
    return content[: int(len(content) * share)]


def zeroed(content, share):
    return cut(content, share).ljust(len(content), b"\0")


JPEG, PROGRESSIVE, PNG = SOUND["JPEG"], SOUND["progressive JPEG"], SOUND["PNG"]
WITH_THUMBNAIL = JPEG[:2] + b"\xff\xe1" + (len(JPEG) + 2).to_bytes(2, "big") + JPEG + JPEG[2:]
EARLY = "ends too early"
PROBLEMS = {
    "half a JPEG": (cut(JPEG, 0.5), EARLY),
    "most of a JPEG": (cut(JPEG, 0.99), EARLY),
    "JPEG with a small image, cut": (cut(WITH_THUMBNAIL, 0.99), EARLY),
    "JPEG with its end too early": (cut(JPEG, 0.7) + JPEG[-2:], EARLY),
    "turned JPEG with its end too early": (cut(SOUND["JPEG turned 6"], 0.8) + JPEG[-2:], EARLY),
    "half a progressive JPEG": (cut(PROGRESSIVE, 0.5), EARLY),
    "JPEG that ends in zeros": (zeroed(JPEG, 0.6), EARLY),
    "JPEG with few zeros at its end": (zeroed(JPEG, 0.98), EARLY),
    "progressive JPEG that ends in zeros": (zeroed(PROGRESSIVE, 0.6), EARLY),
    "half a PNG": (cut(PNG, 0.5), EARLY),
    "PNG without its last part": (PNG[:-12], EARLY),
    "PNG that ends in zeros": (zeroed(PNG, 0.5), EARLY),
    "PNG with a wrong byte": (PNG[:1000] + bytes([PNG[1000] ^ 255]) + PNG[1001:], "is damaged"),
    "half a BMP": (cut(SOUND["BMP"], 0.5), "is damaged"),
    "half a WebP": (cut(SOUND["WebP"], 0.5), "damaged"),
    "WebP that ends in zeros": (zeroed(SOUND["WebP"], 0.5), EARLY),
    "turned WebP that ends in zeros": (zeroed(CONVERTED["WebP turned 6"], 0.5), "damaged"),
    "AVIF that ends in zeros": (zeroed(CONVERTED["AVIF"], 0.7), EARLY),
    "JPEG 2000 that ends in zeros": (zeroed(CONVERTED["JPEG 2000"], 0.7), EARLY),
    "JPEG with damaged EXIF data, cut": (cut(SOUND["JPEG turned 6"].replace(b"MM", b"M\0"), 0.9), EARLY),
    "half a TIFF": (cut(SOUND["TIFF"], 0.5), "damaged"),
    "half a compressed TIFF": (cut(SOUND["compressed TIFF"], 0.5), "no image, or damaged"),
    "half a GIF": (cut(CONVERTED["GIF"], 0.5), "is damaged"),
    "PNG of 12 bits": (encoded(Image.fromarray(PICTURE[:, :, 0].astype(np.uint16) * 16), "PNG"), "black"),
    "colours of 12 bits": (sixteen_bits(".png", 16), "is nearly black"),
    "TIFF of 12 bits": (sixteen_bits(".tiff", 16), "is nearly black"),
    "TIFF of floats": (encoded(COLOURS.convert("F"), "TIFF"), "has values of 32 bits"),
    "TIFF of integers": (encoded(COLOURS.convert("I"), "TIFF"), "has values of 32 bits"),
    "empty": (b"", "is an empty file"),
    "text": (b"no image, but some words\n", "is no image"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "is a HEIC image"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_cannot_be_trained_is_told(kind, tmp_path):
    content, told = PROBLEMS[kind]
    size, problem, convert = examine(tmp_path, content)
    assert (size, convert) == (None, False)
    assert told in problem


MORE_BEHIND = ("JPEG with bytes behind it", "two photos in one file", "GIF of several frames")


@pytest.mark.parametrize("kind", sorted({*SOUND, *CONVERTED} - {*MORE_BEHIND}))
def test_no_file_that_is_cut_passes_with_other_pixels(kind, tmp_path):
    content = {**SOUND, **CONVERTED}[kind]
    for share in (0.2, 0.5, 0.8, 0.97):
        size, problem, convert = examine(tmp_path, cut(content, share))
        assert (size, convert) == (None, False) and problem, share


def test_a_small_image_in_a_jpeg_is_not_its_end(tmp_path):
    assert examine(tmp_path, WITH_THUMBNAIL) == ((64, 48), None, False)
