"""Data sets as people have them, imported into one clean COCO form. Needs neither torch nor mmdet."""

IMPORT_VERSION = (
    2  # raised when data are read or changed otherwise: what is kept of earlier imports is made again
)
