"""Distillation losses. Each takes lists of features by level, and boxes, and knows no detector.

A new loss is one file and one line here.
"""

from mtpd.losses.cwd import CWD
from mtpd.losses.feature_matching import FeatureMatching
from mtpd.losses.fgd import FGD
from mtpd.losses.mgd import MGD
from mtpd.losses.pkd import PKD

LOSSES = {"feature-matching": FeatureMatching, "cwd": CWD, "fgd": FGD, "mgd": MGD, "pkd": PKD}

__all__ = ["CWD", "FGD", "LOSSES", "MGD", "PKD", "FeatureMatching"]
