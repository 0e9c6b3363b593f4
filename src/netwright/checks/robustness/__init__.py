"""Whether attacks on a network can be believed: one function for each code."""
