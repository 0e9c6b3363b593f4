"""What an adversary can do: one function (network, batch, task, threat) -> batch for each attack."""

ATTACKS = {
    "noise": "netwright.attacks.noise:noise",
    "fgsm": "netwright.attacks.pgd:fgsm",
    "pgd": "netwright.attacks.pgd:pgd",
    "swaps": "netwright.attacks.swaps:swaps",
    "mixed": "netwright.attacks.mixed:mixed",
    "apgd": "netwright.attacks.apgd:apgd",
    "apgd_targeted": "netwright.attacks.apgd:apgd_targeted",
    "minimal": "netwright.attacks.minimal:minimal",
    "square": "netwright.attacks.square:square",
    "decision": "netwright.attacks.decision:decision",
    "transfer": "netwright.attacks.transfer:transfer",
    "straight_through": "netwright.attacks.straight:straight_through",
}
