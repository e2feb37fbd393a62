"""Distillation losses. Each takes lists of features by level and knows no detector.

A new loss is one file and one line here.
"""

from mtpd.losses.feature_matching import FeatureMatching
from mtpd.losses.mgd import MGD
from mtpd.losses.pkd import PKD

LOSSES = {"feature-matching": FeatureMatching, "mgd": MGD, "pkd": PKD}

__all__ = ["LOSSES", "MGD", "PKD", "FeatureMatching"]
