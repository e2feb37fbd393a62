"""Data sets as people have them, imported into one clean COCO form. Needs neither torch nor mmdet."""

IMPORT_VERSION = 2  # raised when data are read otherwise: kept imports of before are made again
