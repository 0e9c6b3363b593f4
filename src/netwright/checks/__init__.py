"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {}

# Of a training, stage by stage: a grave finding of one stage makes what later stages would say meaningless.
TRAINING_STAGES: dict[str, dict[str, str]] = {
    "wiring": {
        "NW316": "netwright.checks.training.wiring:misaligned_labels",
        "NW311": "netwright.checks.training.wiring:gradients_not_cleared",
        "NW312": "netwright.checks.training.wiring:parameters_not_training",
        "NW313": "netwright.checks.training.wiring:loss_and_outputs",
        "NW314": "netwright.checks.training.wiring:wrong_mode",
        "NW315": "netwright.checks.training.wiring:rows_leak",
        "NW317": "netwright.checks.training.wiring:not_reproducible",
    },
    "data": {
        "NW322": "netwright.checks.training.entering:bad_inputs",
        "NW321": "netwright.checks.training.entering:unnormalized_inputs",
    },
    "start": {
        "NW305": "netwright.checks.training.start:identical_units",
        "NW304": "netwright.checks.training.start:saturated_units",
        "NW303": "netwright.checks.training.start:dead_units",
        "NW302": "netwright.checks.training.start:vanishing_gradients",
        "NW301": "netwright.checks.training.start:exploding_gradients",
        "NW306": "netwright.checks.training.start:bad_first_loss",
        "NW307": "netwright.checks.training.start:signal_collapse",
    },
    "steps": {
        "NW331": "netwright.checks.training.rate:rate_too_high",
        "NW332": "netwright.checks.training.rate:rate_too_low",
        "NW333": "netwright.checks.training.curves:oscillation",
        "NW334": "netwright.checks.training.rate:slow_convergence",
        "NW335": "netwright.checks.training.plan:schedule_at_fault",
        "NW336": "netwright.checks.training.plan:penalty_dominates",
        "NW337": "netwright.checks.training.plan:batch_too_small",
        "NW339": "netwright.checks.training.curves:loss_spikes",
    },
    "capacity": {
        "NW341": "netwright.checks.training.heart:cannot_fit_a_batch",
        "NW323": "netwright.checks.training.capacity:labels_without_signal",
        "NW346": "netwright.checks.training.capacity:no_better_than_simple",
        "NW345": "netwright.checks.training.capacity:validation_better",
        "NW343": "netwright.checks.training.capacity:overfitting",
        "NW342": "netwright.checks.training.capacity:underfitting",
        "NW344": "netwright.checks.training.capacity:limit_of_the_data",
    },
    "after": {
        "NW324": "netwright.checks.training.capacity:imbalance_hurts",
    },
}
