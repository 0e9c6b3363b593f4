"""The contract of every extension point: what a new kind, task, backbone, reader or simple model must fulfill."""
