"""Images of all kinds are trained with the pixels and boxes that a viewer shows, or left out, and told.

Pillow stands for the viewer. The import is that of the workflow, and its project is moved before it is read.
"""

import io
import shutil
import subprocess
import sys

import cv2
import mmdet.datasets.transforms  # noqa: F401 (registers them)
import numpy as np
import pytest
from conftest import PROJECT
from data_folders import Pair
from image_files import encoded, seen, turned
from mmdet.registry import DATASETS
from PIL import Image

from mtpd import files, images
from mtpd.data import pipelines
from mtpd.evaluation import samples
from mtpd.evaluation.truth import Truth
from mtpd.export import predict
from mtpd.report import pictures

BOX = [9, 5, 24, 12]
BACK = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture(number):
    """A white box on a dark picture of its own, which no two images share."""
    pixels = np.full((48, 64, 3), 20, np.uint8)
    pixels[5:17, 9:33] = 250
    pixels[40, number] = 100
    return Image.fromarray(pixels)


def stored(number, form, orientation, **options):
    """Turned away, so that a viewer turns it back."""
    return encoded(picture(number).transpose(BACK[orientation]), form, **turned(orientation), **options)


def deep(number):
    return cv2.imencode(".png", np.asarray(picture(number)).astype(np.uint16) * 257)[1].tobytes()


KINDS = {
    "plain.png": lambda n: encoded(picture(n), "PNG"),
    "cmyk.jpg": lambda n: encoded(picture(n).convert("CMYK"), "JPEG", quality=95),
    "16-bits.png": deep,
    "gif.jpg": lambda n: encoded(picture(n), "GIF"),
    "frames.gif": lambda n: encoded(picture(n), "GIF", save_all=True, append_images=[picture(n).rotate(180)]),
    "avif.avif": lambda n: encoded(picture(n), "AVIF", quality=95),
    "tga.tga": lambda n: encoded(picture(n), "TGA"),
    **{
        f"{form}-{way}.{form.lower()}": lambda n, form=form, way=way: stored(n, form, way)
        for form in ("JPEG", "WEBP", "TIFF")
        for way in BACK
    },
}
CONVERTED = {"gif.jpg", "frames.gif", "avif.avif", "tga.tga", *(f"WEBP-{way}.webp" for way in BACK)}
LEFT_OUT = {
    "cut.jpg": lambda n: encoded(picture(n), "JPEG")[:-200],
    "broken.png": lambda n: encoded(picture(n), "PNG")[:-20],
    "broken inside.png": lambda n: encoded(picture(n), "PNG")[:-40] + encoded(picture(n), "PNG")[-20:],
    "heic.jpg": lambda n: b"\0\0\0\x18ftypheic" + bytes(100),
    "words.jpg": lambda n: b"words",
    "empty.jpg": lambda n: b"",
}


def run(script, folder, *arguments):
    subprocess.run(
        [sys.executable, PROJECT / "workflow/scripts" / script, *arguments], cwd=folder, check=True
    )


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The project with the imported data."""
    folder = tmp_path_factory.mktemp("project") / "here"
    (folder / "cells/val").mkdir(parents=True)
    (folder / "cells/train").mkdir()
    for split in ("train", "val"):
        listed, objects = [], []
        for number, (name, made) in enumerate({**KINDS, **LEFT_OUT}.items(), 1):
            (folder / "cells" / split / name).write_bytes(made(number + 30 * (split == "val")))
            listed.append({"id": number, "file_name": name, "width": 64, "height": 48})
            objects.append({"id": number, "image_id": number, "category_id": 1, "bbox": BOX})
        content = {"images": listed, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
        files.write_json(folder / f"cells/{split}/annotations.json", content)
    files.write_json(folder / "spec.json", {"source": "cells", "allowed_share": 0.5})
    run("import_data.py", folder, "--spec", "spec.json", "--folder", "results/cells/data")
    (kept,) = (folder / "work/imports").glob("*")
    for name in ("train.json", "val.json"):
        run("take_imported.py", folder, "--kept", kept / name, "--out", f"results/cells/data/{name}")
    shutil.rmtree(folder / "work")
    return folder.rename(folder.parent / "there")


@pytest.fixture(scope="module")
def loaded(moved):
    """What mmdet's transforms load for training, by the name of the image."""
    split = {"annotations": moved / "results/cells/data/train.json", "images": moved / "cells"}
    steps = [{"type": "LoadImageFromFile"}, {"type": "mmdet.LoadAnnotations"}]
    dataset = DATASETS.build(pipelines._loader(split, ("cell",), steps, 1, 0).dataset)
    names = [image["file_name"] for image in files.read_json(split["annotations"])["images"]]
    return {name.removeprefix("train/"): dataset[number] for number, name in enumerate(names)}


@pytest.mark.parametrize("name", KINDS)
def test_an_image_is_trained_as_a_viewer_shows_it(name, loaded, moved):
    found = loaded[name]
    expected = seen((moved / "cells/train" / name).read_bytes())
    assert found["img"].shape == expected.shape == (48, 64, 3)
    assert cv2.absdiff(found["img"], expected).max() <= (16 if name == "cmyk.jpg" else 2)
    left, top, right, bottom = found["gt_bboxes"].tensor[0].tolist()
    white = np.argwhere(expected[:, :, 1] > 128)
    assert (*white.min(0)[::-1], *(white.max(0)[::-1] + 1)) == (left, top, right, bottom)


def test_all_others_are_left_out_and_told(loaded, moved):
    assert loaded.keys() == KINDS.keys()
    changes = files.read_json(moved / "results/cells/data/import.json")["changes"]["train"]
    assert changes["put_right"]["images converted to PNG"]["count"] == len(CONVERTED)
    assert changes["left_out"]["images: that cannot be trained with"]["count"] == len(LEFT_OUT)
    converted = {name for name, found in loaded.items() if "results/cells/data/images" in found["img_path"]}
    assert converted == CONVERTED


def shown_by_report(path_of, image):
    content = {"images": [image], "annotations": [], "categories": []}
    figure = pictures.draw({str(image["id"]): "at random"}, content, path_of, {})
    return figure.axes[0].images[0].get_array()[:, :, ::-1]


@pytest.mark.parametrize("name", KINDS)
def test_whatever_reads_an_image_sees_the_same(name, loaded, moved):
    data = moved / "results/cells/data"
    listed = files.read_json(data / "train.json")["images"]
    image = next(image for image in listed if image["file_name"] == f"train/{name}")

    def path_of(image):
        return images.path_of(image, moved / "cells", data)

    assert np.array_equal(images.read(path_of(image)), loaded[name]["img"])
    assert np.array_equal(predict.read(path_of(image)), loaded[name]["img"])
    assert np.array_equal(shown_by_report(path_of, image), loaded[name]["img"])


def test_pictures_of_the_data_show_converted_images(moved, tmp_path):
    samples.draw(Truth(moved / "results/cells/data/val.json"), moved / "cells", [], tmp_path / "val.jpg")
    sheets = [tmp_path / "val.jpg", moved / "results/cells/data/train_samples.jpg"]
    assert all(np.asarray(Image.open(io.BytesIO(sheet.read_bytes()))).any() for sheet in sheets)
    assert predict.read(tmp_path / "no such file") is None


def test_strict_converts_nothing(tmp_path):
    pair = Pair(tmp_path)
    (pair.data / "train/train-03.png").write_bytes(encoded(picture(1), "GIF"))
    assert "images converted to PNG: 1 (train/train-03.png: OpenCV" in pair.stopped(strict=True)
    pair.imported()
    (made,) = (pair.out / images.FOLDER).iterdir()
    (pair.data / "train/train-03.png").write_bytes(encoded(picture(2), "PNG"))
    pair.imported()
    assert made.suffix == ".png" and not made.exists()
