"""What makes this processor fast, and every global side effect of the package; each is entered by `with` and undone."""
