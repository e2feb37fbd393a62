"""mmdet's data set of a COCO annotation file, with the images that an import converted."""

from __future__ import annotations

from pathlib import Path

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from mtpd import images


@DATASETS.register_module()
class ListedImages(CocoDataset):
    """Reads a converted image in the place of the one that is listed."""

    def parse_data_info(self, raw_data_info: dict) -> dict:
        info = super().parse_data_info(raw_data_info)
        listed = raw_data_info["raw_img_info"]
        if images.CONVERTED in listed:
            path = images.path_of(listed, self.data_prefix["img"], Path(self.ann_file).parent)
            info["img_path"] = str(path)
        return info
