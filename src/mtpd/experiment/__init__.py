"""The experiment file and all that follows from it without a tensor: paths, stages, rows, orders.

Nothing in here imports torch, mmdet or Snakemake.
"""
