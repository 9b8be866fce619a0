"""A stand-in for machines: Auto Scaling and Systems Manager, commands as real processes."""

from .machine import Machine
from .stand_in import Machines

__all__ = ["Machine", "Machines"]
