"""From raw rows to batches of examples."""

AUGMENTATIONS = {
    "flip": "netwright.data.augment:flip",
    "shift": "netwright.data.augment:shift",
    "cutout": "netwright.data.augment:cutout",
    "noise": "netwright.data.augment:noise",
}
