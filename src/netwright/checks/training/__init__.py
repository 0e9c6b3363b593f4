"""Checks of training: wiring, inputs, start, steps, capacity, and the trained network."""
