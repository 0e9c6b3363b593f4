"""Trainings with one known fault each, their healthy twins, and healthy trainings that look odd."""
