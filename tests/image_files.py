"""Small image files of many forms, and what is seen in them."""

import contextlib
import io

import cv2
import numpy as np
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
    "PPM": encoded(COLOURS, "PPM"),
    **{
        f"{form} turned {way}": encoded(COLOURS, form, **turned(way))
        for form in ("JPEG", "PNG", "TIFF")  # cv2.imread cannot read such TIFFs, imdecode can
        for way in range(1, 9)
    },
}


CONVERTED = {
    "GIF": encoded(COLOURS, "GIF"),
    "GIF of several frames": encoded(COLOURS, "GIF", **BEHIND),
    "TGA": encoded(COLOURS, "TGA"),
    "PCX": encoded(COLOURS, "PCX"),
    "SGI": encoded(COLOURS, "SGI"),
    "QOI": encoded(COLOURS, "QOI"),
    "DDS": encoded(COLOURS, "DDS"),
    "JPEG 2000": encoded(COLOURS, "JPEG2000"),
    "animated PNG": encoded(COLOURS, "PNG", **BEHIND),
    "AVIF": encoded(COLOURS, "AVIF"),
    "JPEG with damaged EXIF data": encoded(COLOURS, "JPEG", **turned(6)).replace(b"MM", b"M\0"),
    **{f"WebP turned {way}": encoded(COLOURS, "WEBP", **turned(way)) for way in range(2, 9)},
}
