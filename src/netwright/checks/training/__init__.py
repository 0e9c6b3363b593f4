"""Checks of a training: wiring, data as they enter, start, steps, capacity, and the trained network."""
