"""COCO metrics of a detector."""
