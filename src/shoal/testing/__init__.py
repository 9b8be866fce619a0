"""For tests: ports in memory, and the conformance suite that every backend must pass."""
