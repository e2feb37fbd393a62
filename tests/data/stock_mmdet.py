"""Predict the validation images with a student, by stock mmdet alone."""

import json
import sys

import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

path, annotations, images = sys.argv[1:]
meta = torch.load(path, map_location="cpu", weights_only=True)["meta"]
config = Config.fromstring(meta["cfg"], ".py")
model = init_detector(config, path, device="cpu")
with open(annotations, encoding="utf-8") as file:
    coco = json.load(file)
ids = {category["name"]: category["id"] for category in coco["categories"]}
found = []
for image in coco["images"]:
    result = inference_detector(model, f"{images}/{image['file_name']}").pred_instances
    for (x1, y1, x2, y2), score, label in zip(
        result.bboxes.tolist(), result.scores.tolist(), result.labels.tolist(), strict=True
    ):
        category = ids[model.dataset_meta["classes"][label]]
        box = [x1, y1, x2 - x1, y2 - y1]
        found.append({"image_id": image["id"], "category_id": category, "bbox": box, "score": score})
assert not any(name.startswith("mtpd") for name in sys.modules)
print(json.dumps(found))
