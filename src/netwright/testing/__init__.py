"""The contract of every extension point: what a new kind, task, backbone, reader or baseline has to fulfil."""
