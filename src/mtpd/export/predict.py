"""Find objects in a picture with the model beside this file.

Needs numpy, onnxruntime and opencv-python; neither torch nor mmdet.

python predict.py picture.jpg                    prints class, score, left, top, right, bottom of each object
python predict.py picture.jpg --draw found.png   also draws them into a copy of the picture
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def load(folder: Path) -> tuple[onnxruntime.InferenceSession, dict]:
    """The model of an export, if it is the one that was checked, and its settings (export.json)."""
    settings = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    model = (folder / "student.onnx").read_bytes()
    found, expected = hashlib.sha256(model).hexdigest(), settings["onnx_sha256"]
    if found != expected:
        raise SystemExit(
            f"{folder}/student.onnx: found SHA-256 {found[:16]}..., expected {expected[:16]}... "
            "(export.json): not the model that was checked; export the student again"
        )
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]), settings


def read(path: str) -> np.ndarray | None:
    """A picture as the training read it; None if OpenCV cannot. (``cv2.imread`` fails for turned TIFFs.)"""
    content = np.fromfile(path, np.uint8) if Path(path).is_file() else np.array([], np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None


def inputs(picture: np.ndarray, settings: dict) -> dict[str, np.ndarray]:
    """What the model takes. ``picture``: as OpenCV reads it (height x width x 3, uint8, BGR)."""
    height, width = picture.shape[:2]
    # The largest size of the same shape whose long and short side fit into those of `fit`.
    fit = settings["resize"]["fit"]
    factor = min(max(fit) / max(height, width), min(fit) / min(height, width))
    size = max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return {
        "image": cv2.cvtColor(resized, cv2.COLOR_BGR2RGB),
        "picture_size": np.array([height, width]),  # boxes and masks come out in pixels of the picture
    }


def draw(picture: np.ndarray, found: dict[str, np.ndarray], classes: list[str]) -> None:
    """Masks, boxes, classes and scores; a class with other letters than OpenCV's (ASCII) as its number."""
    for mask in found.get("masks", []):
        picture[mask] = picture[mask] // 2 + np.array([0, 100, 0], np.uint8)
    for box, score, label in zip(found["boxes"], found["scores"], found["labels"], strict=True):
        left, top, right, bottom = map(round, box.tolist())
        cv2.rectangle(picture, (left, top), (right, bottom), (0, 255, 0), 1)
        name = classes[label] if classes[label].isascii() else f"class {label}"
        text = f"{name} {score:.2f}"
        cv2.putText(picture, text, (left, max(top - 3, 10)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 0), 1)


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("picture")
    parser.add_argument("--score", type=float, default=0.3, help="least score of what is shown (0.3)")
    parser.add_argument("--draw", help="picture to write, like found.png")
    args = parser.parse_args()
    session, settings = load(Path(__file__).resolve().parent)
    picture = read(args.picture)
    if picture is None:
        raise SystemExit(f"{args.picture}: no picture that OpenCV can read")
    values = session.run(settings["outputs"], inputs(picture, settings))
    found = dict(zip(settings["outputs"], values, strict=True))
    found = {name: value[found["scores"] >= args.score] for name, value in found.items()}
    for box, score, label in zip(found["boxes"], found["scores"], found["labels"], strict=True):
        print(settings["classes"][label], f"{score:.3f}", *(f"{side:.1f}" for side in box))
    if not len(found["scores"]):
        print(f"nothing found with a score of {args.score} or more (--score)", file=sys.stderr)
    if args.draw:
        draw(picture, found, settings["classes"])
        try:
            written = cv2.imwrite(args.draw, picture)
        except cv2.error:  # of an unknown ending
            written = False
        if not written:
            raise SystemExit(
                f"{args.draw}: cannot be written; expected a folder that is there, and a name that ends in "
                ".png, .jpg, .bmp, .tif or .webp"
            )


if __name__ == "__main__":
    main()
