"""How far what onnxruntime finds is from what mmdet finds, on the same images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

SIDE = 1e-4  # tolerance of a coordinate, as a fraction of the picture's longer side
SCORE = 1e-3  # tolerance of a score
UNPAIRED = 0.002  # tolerance of detections without a partner, of all; a single one is always tolerated
MASKS = 0.001  # tolerance of pixels that only one mask has, of all pixels of masks
NEAR = 0.01  # a detection farther away, as a fraction of the longer side, is another one
NAMED = 3  # examples of differences
OTHER_CLASS = 1e9

# boxes (N x 4), scores, labels; with a mask head also masks (N x height x width)
Detections = dict[str, np.ndarray]


@dataclass
class Agreement:
    """Largest differences over the images that were added.

    Where a score is at the threshold, or two boxes at the limit of overlap, the last digits decide whether a
    detection stays. Therefore a few detections may be without a partner.
    """

    images: int = 0
    detections: int = 0
    unpaired: int = 0
    pixels: float = 0.0
    side: float = 0.0
    score: float = 0.0
    mask_pixels: int = 0
    different_mask_pixels: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str, size: tuple[int, int], expected: Detections, found: Detections) -> None:
        """Compare the detections in one picture.

        Args:
            name: of the picture.
            size: its height and width.
            expected: what mmdet finds.
            found: what onnxruntime finds.
        """
        first, second, distance = paired(expected, found, NEAR * max(size))
        score = np.abs(expected["scores"][first] - found["scores"][second])
        self.images += 1
        self.detections += len(expected["scores"])
        self.unpaired += len(expected["scores"]) + len(found["scores"]) - 2 * len(first)
        self.pixels = max(self.pixels, distance.max(initial=0))
        self.side = max(self.side, distance.max(initial=0) / max(size))
        self.score = float(np.maximum(self.score, score.max(initial=0)))  # keeps NaN, unlike max
        self._give_examples(name, expected, first, distance > SIDE * max(size), score > SCORE)
        if "masks" in expected:
            masks = expected["masks"][first], found["masks"][second]
            self.mask_pixels += int((masks[0] | masks[1]).sum())
            self.different_mask_pixels += int((masks[0] ^ masks[1]).sum())

    def _give_examples(self, name: str, expected: Detections, first, moved, changed) -> None:
        alone = np.setdiff1d(np.arange(len(expected["scores"])), first)
        for what, which in (("moved", first[moved]), ("another score", first[changed]), ("missing", alone)):
            for index in which[: max(0, NAMED - len(self.examples))]:
                box = ", ".join(f"{side:.1f}" for side in expected["boxes"][index])
                score, label = expected["scores"][index], expected["labels"][index]
                self.examples.append(f"{name}: {what}: class {label}, score {score:.4f}, box {box}")

    def problems(self) -> list[str]:
        """A line for each tolerance that is exceeded, then examples."""
        limits = {
            "largest distance of boxes, of the longer side": (self.side, SIDE),
            "largest difference of scores": (self.score, SCORE),
            "detections without a partner": (self.unpaired, max(1, UNPAIRED * self.detections)),
            "pixels that only one mask has": (self.different_mask_pixels, MASKS * self.mask_pixels),
        }
        wrong = [
            f"{what}: found {found:.3g}, expected at most {most:.3g}"
            for what, (found, most) in limits.items()
            if not found <= most  # also NaN
        ]
        return wrong + self.examples if wrong else []

    def summary(self) -> dict:
        """Numbers for ``export.json``; distances of boxes are in pixels of the pictures."""
        masks = {"mask_pixels": self.mask_pixels, "different_mask_pixels": self.different_mask_pixels}
        return {
            "images": self.images,
            "detections": self.detections,
            "unpaired_detections": self.unpaired,
            "largest_box_difference_pixels": float(self.pixels),
            "largest_box_difference_of_longer_side": float(self.side),
            "largest_score_difference": float(self.score),
            **(masks if self.mask_pixels else {}),
            "tolerances": {"box": SIDE, "score": SCORE, "unpaired": UNPAIRED, "mask_pixels": MASKS},
        }


def paired(expected: Detections, found: Detections, near: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of detections of the same class: indices into both, and the largest distance of a coordinate.

    The pairs have the least sum of distances; those farther apart than ``near`` are left out.
    """
    distances = np.abs(expected["boxes"][:, None] - found["boxes"][None]).max(-1, initial=0)
    distances = np.where(expected["labels"][:, None] == found["labels"][None], distances, OTHER_CLASS)
    first, second = linear_sum_assignment(distances)
    distance = distances[first, second]
    close = distance <= near
    return first[close], second[close], distance[close]
