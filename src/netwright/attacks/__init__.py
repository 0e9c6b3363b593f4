"""What an adversary can do: one function (network, batch, task, threat) -> batch for each attack."""

ATTACKS = {
    "noise": "netwright.attacks.noise:noise",
    "fgsm": "netwright.attacks.pgd:fgsm",
    "pgd": "netwright.attacks.pgd:pgd",
    "swaps": "netwright.attacks.swaps:swaps",
    "mixed": "netwright.attacks.mixed:mixed",
    "apgd": "netwright.attacks.apgd:apgd",
    "apgd_targeted": "netwright.attacks.apgd:apgd_targeted",
    "square": "netwright.attacks.square:square",
}
