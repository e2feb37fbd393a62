"""What training makes of an image file is what people see; or it says why not."""

import contextlib
import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mtpd.datasets import pixels

RNG = np.random.default_rng(0)
PICTURE = cv2.resize(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
COLOURS = Image.fromarray(PICTURE)
FADING = Image.merge("RGBA", [*COLOURS.split(), Image.linear_gradient("L").resize((64, 48))])
PALETTE = COLOURS.convert("P", palette=Image.Palette.ADAPTIVE)
DEEP = Image.fromarray(PICTURE[:, :, 0].astype(np.uint16) * 257)
BEHIND = {"save_all": True, "append_images": [COLOURS.rotate(180)]}


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned(orientation):
    data = Image.Exif()
    data[pixels.ORIENTATION] = orientation
    return {"exif": data}


def sixteen_bits(ending, factor):
    return cv2.imencode(ending, PICTURE.astype(np.uint16) * factor)[1].tobytes()


def trained(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def seen(content):
    """What Pillow shows, in OpenCV's order; it clips 16 grey bits instead of dividing them."""
    image = Image.open(io.BytesIO(content))
    with contextlib.suppress(SyntaxError):  # damaged EXIF data
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) / 256).astype(np.uint8)[:, :, None], 3, 2)
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def examine(tmp_path, content, decode=True):
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    return pixels.examine(path, content, decode)


SOUND = {
    "JPEG": encoded(COLOURS, "JPEG"),
    "progressive JPEG": encoded(COLOURS, "JPEG", progressive=True),
    "grey JPEG": encoded(COLOURS.convert("L"), "JPEG"),
    "JPEG of the grey that stands for missing data": encoded(Image.new("RGB", (64, 48), (128,) * 3), "JPEG"),
    "CMYK JPEG": encoded(COLOURS.convert("CMYK"), "JPEG", quality=95),
    "JPEG with bytes behind it": encoded(COLOURS, "JPEG") + b"more" * 50,
    "two photos in one file": encoded(COLOURS, "MPO", **BEHIND),
    "PNG": encoded(COLOURS, "PNG"),
    "grey PNG": encoded(COLOURS.convert("L"), "PNG"),
    "PNG of one bit": encoded(COLOURS.convert("1"), "PNG"),
    "grey PNG with transparency": encoded(COLOURS.convert("LA"), "PNG"),
    "PNG with transparency": encoded(FADING, "PNG"),
    "PNG with a palette": encoded(PALETTE, "PNG"),
    "palette with transparency": encoded(PALETTE, "PNG", transparency=3),
    "grey PNG of 16 bits": encoded(DEEP, "PNG"),
    "PNG of 16 bits": sixteen_bits(".png", 257),
    "animated PNG": encoded(COLOURS, "PNG", **BEHIND),
    "BMP": encoded(COLOURS, "BMP"),
    "BMP with a palette": encoded(PALETTE, "BMP"),
    "WebP": encoded(COLOURS, "WEBP"),
    "WebP with transparency": encoded(FADING, "WEBP", lossless=True),
    "animated WebP": encoded(COLOURS, "WEBP", lossless=True, **BEHIND),
    "TIFF": encoded(COLOURS, "TIFF"),
    "compressed TIFF": encoded(COLOURS, "TIFF", compression="tiff_lzw"),
    "TIFF of 16 bits": sixteen_bits(".tiff", 257),
    "grey TIFF of 16 bits": encoded(DEEP, "TIFF"),
    "CMYK TIFF": encoded(COLOURS.convert("CMYK"), "TIFF"),
    "JPEG 2000": encoded(COLOURS, "JPEG2000"),
    "PPM": encoded(COLOURS, "PPM"),
    **{
        f"{form} turned {way}": encoded(COLOURS, form, **turned(way))
        for form in ("JPEG", "PNG", "TIFF")  # cv2.imread cannot read such TIFFs, imdecode can
        for way in range(1, 9)
    },
}


@pytest.mark.parametrize("decode", [True, False], ids=["decoded", "by its header"])
@pytest.mark.parametrize("kind", SOUND)
def test_sound_images_are_trained_as_people_see_them(kind, decode, tmp_path):
    expected = seen(SOUND[kind])
    assert examine(tmp_path, SOUND[kind], decode) == (expected.shape[1::-1], None, False)
    found = trained(SOUND[kind])
    assert found.shape == expected.shape
    assert cv2.absdiff(found, expected).max() <= 2


CONVERTED = {
    "GIF": encoded(COLOURS, "GIF"),
    "GIF of several frames": encoded(COLOURS, "GIF", **BEHIND),
    "TGA": encoded(COLOURS, "TGA"),
    "PCX": encoded(COLOURS, "PCX"),
    "SGI": encoded(COLOURS, "SGI"),
    "QOI": encoded(COLOURS, "QOI"),
    "DDS": encoded(COLOURS, "DDS"),
    "AVIF": encoded(COLOURS, "AVIF"),
    "JPEG with damaged EXIF data": encoded(COLOURS, "JPEG", **turned(6)).replace(b"MM", b"M\0"),
    **{f"WebP turned {way}": encoded(COLOURS, "WEBP", **turned(way)) for way in range(2, 9)},
}


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
    "JPEG 2000 that ends in zeros": (zeroed(SOUND["JPEG 2000"], 0.7), EARLY),
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


def test_a_small_image_in_a_jpeg_is_not_its_end(tmp_path):
    assert examine(tmp_path, WITH_THUMBNAIL) == ((64, 48), None, False)


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
