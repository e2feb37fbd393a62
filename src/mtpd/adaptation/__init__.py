"""Adaptation costs: how far the features of one detector are from those of another."""
