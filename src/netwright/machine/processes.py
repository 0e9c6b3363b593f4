"""Whether this process is one of several that train together."""

import os
import sys
from collections.abc import Mapping

from netwright.records.errors import RunError


def refuse_ranks(environment: Mapping[str, str] = os.environ) -> None:
    """Raises RunError in a process of torchrun, or of others that set its variables: accelerate, DeepSpeed, Kubeflow.

    Each process would train on all rows and write the same folder. Processes that srun or mpirun starts without these
    variables may be independent trainings with a folder each.
    """
    rank, world = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    why = "RANK and WORLD_SIZE are set"
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        rank, world = str(distributed.get_rank()), str(distributed.get_world_size())
        why = "torch.distributed is initialized"
    if rank.isdecimal() and world.isdecimal() and int(world) > 1:
        problem = f"this is process {int(rank) + 1} of {world} ({why}), and parallel training is not supported yet"
        raise RunError(problem, remedy="start one process: without torchrun, or with --nproc-per-node 1.")
