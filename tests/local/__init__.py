"""The local environment on real files, with real processes: buckets, workers, supervisors."""
