"""The Lambda functions: each name here is a handler. An edge of Shoal, as the command line is."""

from shoal.aws.functions.events import command_ended, start_scheduler, worker_gone
from shoal.aws.functions.fleet_functions import intake, scale
from shoal.aws.functions.steps import (
    await_worker,
    next_job,
    protect,
    retire,
    run_job,
    settle_job,
)
from shoal.aws.functions.sweep import sweep

__all__ = [
    "await_worker",
    "command_ended",
    "intake",
    "next_job",
    "protect",
    "retire",
    "run_job",
    "scale",
    "settle_job",
    "start_scheduler",
    "sweep",
    "worker_gone",
]
