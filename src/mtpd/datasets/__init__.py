"""Data sets as people have them, imported into one clean COCO form. Needs neither torch nor mmdet."""
