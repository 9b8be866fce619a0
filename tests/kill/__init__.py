"""Tests that kill things: workers, supervisors, a store between any two writes, the power."""
