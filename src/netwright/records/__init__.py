"""Frozen data that stages hand to each other, and the three abstract classes: Field, Task, Examples."""
