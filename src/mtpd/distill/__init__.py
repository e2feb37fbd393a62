"""Distillation: a student between its detection loss and the features of frozen teachers."""
