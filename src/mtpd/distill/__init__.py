"""Distillation: the student, its frozen teachers, and the losses between their features."""
