"""What training makes of an image file is what people see; or it says why not."""

import io
import zlib

import cv2
import numpy as np
import pytest
from image_files import CONVERTED, SOUND, examine, seen, trained, turned
from PIL import Image

from mtpd.datasets import pixels

PNG = SOUND["PNG"]


@pytest.mark.parametrize("decode", [True, False], ids=["decoded", "by its header"])
@pytest.mark.parametrize("kind", SOUND)
def test_sound_images_are_trained_as_people_see_them(kind, decode, tmp_path):
    expected = seen(SOUND[kind])
    assert examine(tmp_path, SOUND[kind], decode) == (expected.shape[1::-1], None, False)
    found = trained(SOUND[kind])
    assert found.shape == expected.shape
    assert cv2.absdiff(found, expected).max() <= 2


@pytest.mark.parametrize("decode", [True, False], ids=["decoded", "by its header"])
@pytest.mark.parametrize("kind", CONVERTED)
def test_what_opencv_reads_otherwise_is_converted(kind, decode, tmp_path):
    expected = seen(CONVERTED[kind])
    size, problem, convert = examine(tmp_path, CONVERTED[kind], decode)
    assert (size, convert) == (expected.shape[1::-1], True)
    assert problem.startswith("OpenCV, which reads for training, ")
    pixels.convert(tmp_path / "image.jpg", tmp_path / "new/image.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.png"]
    assert np.array_equal(cv2.imread(tmp_path / "new/image.png"), expected)


def test_what_cannot_be_converted_is_refused(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(b"words")
    with pytest.raises(ValueError, match=r"image\.jpg: cannot be converted"):
        pixels.convert(path, tmp_path / "image.png")
    assert not (tmp_path / "image.png").exists()


def test_an_image_that_pillow_refuses_for_its_size(tmp_path, monkeypatch):
    """Pillow's limit is 179 million pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(PNG))
    assert examine(tmp_path, PNG, decode=False) == ((64, 48), None, False)


@pytest.mark.slow
def test_192_million_pixels(tmp_path):
    content = cv2.imencode(".png", np.full((12000, 16000), 7, np.uint8))[1].tobytes()
    assert examine(tmp_path, content) == ((16000, 12000), None, False)


PARTS = {
    "EXIF behind the image": lambda exif: PNG[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + PNG[-12:],
    "EXIF as text": lambda exif: (
        PNG[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + hexed(exif)) + PNG[33:]
    ),
}


def chunk(name, content):
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def hexed(exif):
    """As ImageMagick writes it."""
    data = exif.tobytes()
    return zlib.compress(f"\nexif\n{len(data):8}\n{data.hex()}\n".encode())


@pytest.mark.parametrize("kind", PARTS)
def test_a_png_that_only_viewers_turn_is_converted(kind, tmp_path):
    content = PARTS[kind](turned(6)["exif"])
    assert seen(content).shape == (64, 48, 3)
    for decode in (True, False):
        size, problem, convert = examine(tmp_path, content, decode)
        assert size == (48, 64)
        assert convert == (trained(content).shape != (64, 48, 3)) == (problem is not None)
