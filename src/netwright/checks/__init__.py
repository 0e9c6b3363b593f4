"""What can be wrong with data and with training: one function for each code."""

# Codes never change their meaning. A check is a function (evidence) -> findings; its docstring is its page.

# On raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
    "NW113": "netwright.checks.data.balance:class_imbalance",
    "NW130": "netwright.checks.data.missing:missing_values",
    "NW131": "netwright.checks.data.useless:constant_columns",
    "NW132": "netwright.checks.data.useless:duplicate_columns",
    "NW133": "netwright.checks.data.useless:id_columns",
    "NW134": "netwright.checks.data.target_leaks:leaking_columns",
    "NW135": "netwright.checks.data.formulas:joint_leaks",
    "NW136": "netwright.checks.data.mixed:mixed_types",
    "NW137": "netwright.checks.data.values:impossible_values",
    "NW138": "netwright.checks.data.values:outlying_values",
    "NW139": "netwright.checks.data.units:unit_change",
    "NW125": "netwright.checks.data.leaks:time_leaks",
    "NW126": "netwright.checks.data.leaks:groups_in_several_parts",
    "NW127": "netwright.checks.data.leaks:test_rows_in_training",
    "NW170": "netwright.checks.data.duplicates:duplicate_rows",
    "NW171": "netwright.checks.data.duplicates:near_duplicates",
    "NW101": "netwright.checks.data.unreadable:unreadable",
    "NW140": "netwright.checks.data.pictures:blank",
    "NW141": "netwright.checks.data.pictures:dark",
    "NW142": "netwright.checks.data.pictures:blurred",
    "NW143": "netwright.checks.data.sizes:odd_sizes",
    "NW144": "netwright.checks.data.pictures:noisy",
    "NW150": "netwright.checks.data.texts:empty_texts",
    "NW151": "netwright.checks.data.texts:garbled_texts",
    "NW152": "netwright.checks.data.texts:repeated_texts",
    "NW153": "netwright.checks.data.symbols:odd_sequences",
    "NW160": "netwright.checks.data.steps:flat",
    "NW161": "netwright.checks.data.steps:clipped",
    "NW162": "netwright.checks.data.steps:gappy",
    "NW163": "netwright.checks.data.steps:noisy",
    "NW180": "netwright.checks.data.grid:gaps",
    "NW181": "netwright.checks.data.grid:clock_changes",
    "NW182": "netwright.checks.data.shifts:level_shifts",
    "NW183": "netwright.checks.data.copies:copied_series",
    "NW184": "netwright.checks.data.stale:stale_values",
    "NW185": "netwright.checks.data.ahead:future_leaks",
    "NW186": "netwright.checks.data.ahead:known_answers",
    "NW187": "netwright.checks.data.lengths:thin_series",
    "NW188": "netwright.checks.data.same_time:doubled_rows",
    "NW189": "netwright.checks.data.raw_cells:odd_cells",
    "NW190": "netwright.checks.data.visits:repeated_visits",
    "NW191": "netwright.checks.data.visits:bots",
    "NW192": "netwright.checks.data.item_names:renamed_items",
    "NW193": "netwright.checks.data.item_names:ids_in_order",
    "NW194": "netwright.checks.data.audience:untested_users",
    "NW195": "netwright.checks.data.audience:popularity_drift",
    "NW196": "netwright.checks.data.audience:single_visits",
    "NW197": "netwright.checks.data.audience:flat_ratings",
    "NW121": "netwright.checks.data.drift:parts_drift",
    "NW122": "netwright.checks.data.new_data:new_data_drift",
    "NW123": "netwright.checks.data.coverage:few_rows",
    "NW112": "netwright.checks.data.labels:contradicting_duplicates",
}

# With networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {
    "NW124": "netwright.checks.data.coverage:worse_groups",
    "NW129": "netwright.checks.data.learning_curve:little_data",
    "NW110": "netwright.checks.data.labels:label_errors",
    "NW111": "netwright.checks.data.labels:outlying_targets",
}

# Of training, stage by stage: after a serious finding, checks of later stages would be meaningless.
TRAINING_STAGES: dict[str, dict[str, str]] = {
    "wiring": {
        "NW318": "netwright.checks.training.outputs:broadcast_loss",
        "NW316": "netwright.checks.training.rows:misaligned_labels",
        "NW311": "netwright.checks.training.gradients:gradients_not_cleared",
        "NW310": "netwright.checks.training.gradients:gradients_thrown_away",
        "NW312": "netwright.checks.training.gradients:parameters_not_training",
        "NW314": "netwright.checks.training.wiring:wrong_mode",
        "NW315": "netwright.checks.training.wiring:rows_leak",
        "NW313": "netwright.checks.training.outputs:loss_and_outputs",
        "NW320": "netwright.checks.training.entering:mixed_axes",
        "NW317": "netwright.checks.training.wiring:not_reproducible",
        "NW325": "netwright.checks.training.order:rows_in_order",
        "NW319": "netwright.checks.training.replay:another_loop",
    },
    "data": {
        "NW322": "netwright.checks.training.entering:bad_inputs",
        "NW321": "netwright.checks.training.entering:unnormalized_inputs",
        "NW327": "netwright.checks.training.scales:unnormalized_targets",
        "NW328": "netwright.checks.training.scales:validation_scale",
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
        "NW335": "netwright.checks.training.plan:schedule_at_fault",
        "NW336": "netwright.checks.training.plan:penalty_dominates",
        "NW331": "netwright.checks.training.rate:rate_too_high",
        "NW332": "netwright.checks.training.rate:rate_too_low",
        "NW337": "netwright.checks.training.plan:batch_too_small",
        "NW333": "netwright.checks.training.curves:oscillation",
        "NW334": "netwright.checks.training.rate:slow_convergence",
        "NW338": "netwright.checks.training.plan:gradient_noise",
        "NW339": "netwright.checks.training.curves:loss_spikes",
    },
    "capacity": {
        "NW341": "netwright.checks.training.heart:cannot_fit_a_batch",
        "NW323": "netwright.checks.training.capacity:labels_without_signal",
        "NW346": "netwright.checks.training.simple:no_better_than_simple",
        "NW345": "netwright.checks.training.capacity:validation_better",
        "NW343": "netwright.checks.training.capacity:overfitting",
        "NW342": "netwright.checks.training.capacity:underfitting",
        "NW344": "netwright.checks.training.capacity:limit_of_the_data",
        "NW326": "netwright.checks.training.again:too_little_data",
    },
    "after": {
        "NW324": "netwright.checks.training.capacity:imbalance_hurts",
        "NW351": "netwright.checks.training.calibration:miscalibrated",
        "NW352": "netwright.checks.training.again:unstable",
        "NW353": "netwright.checks.training.shortcut:shortcut",
        "NW354": "netwright.checks.training.surface:attack_surface",
    },
}

# Of attacks on a network: can their numbers be believed, and what do they say?
ATTACK_CHECKS: dict[str, str] = {
    "NW501": "netwright.checks.robustness.masking:transfer_wins",
    "NW502": "netwright.checks.robustness.masking:whole_range",
    "NW503": "netwright.checks.robustness.masking:search_wins",
    "NW504": "netwright.checks.robustness.masking:losses_disagree",
    "NW505": "netwright.checks.robustness.masking:no_gradients",
    "NW506": "netwright.checks.robustness.masking:random_answers",
    "NW507": "netwright.checks.robustness.masking:not_converged",
    "NW508": "netwright.checks.robustness.masking:not_monotone",
    "NW509": "netwright.checks.robustness.masking:planted_missed",
    "NW510": "netwright.checks.robustness.masking:attack_surface",
}

# Those that need experiments and simple models are left to `netwright diagnose`; training runs the others.
LEFT_TO_DIAGNOSE = (
    "NW317", "NW325", "NW319", "NW321", "NW327", "NW331", "NW332", "NW334", "NW336", "NW337", "NW341", "NW346", "NW342",
    "NW344", "NW326", "NW352", "NW353", "NW354",
)  # fmt: skip
