"""Pipelines: what a Successful job leaves in its job folder becomes a job folder elsewhere.

`route` says where to, `ledger` what is known of it, `passing` does it, `background` beside other
work.
"""
