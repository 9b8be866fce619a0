"""`shoal workers`: who works, and on what."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option, json_option


@click.command("workers", short_help="Who works, and on what.")
@environment_option
@json_option
def command(environment: str | None, as_json: bool) -> None:
    """List the workers that are alive, and the job each runs."""
    import time

    from shoal.cli.output import duration, iso_time, print_json, print_table, say, short_time
    from shoal.client import connect
    from shoal.core.job import Started, Status

    with connect(environment, create=False) as client:
        workers = client.workers()
        supervised = client.is_supervised()
        running = {
            job.state.lease.worker: (job, job.state.lease)
            for job in client.jobs(statuses=[Status.STARTED])
            if isinstance(job.state, Started)
        }
    if as_json:
        print_json(
            [
                {
                    "instance_id": worker.worker,
                    "pid": worker.pid,
                    "host": worker.host,
                    "started_at": iso_time(worker.started_at),
                    "job_id": running[worker.worker][0].job_id
                    if worker.worker in running
                    else None,
                }
                for worker in workers
            ]
        )
        return
    if not workers:
        nobody = "" if supervised else ", or nobody to start them ('shoal up' does)"
        say(f"no workers: there is nothing to do{nobody}")
        return
    now = time.time()
    rows = []
    for worker in workers:
        job, lease = running.get(worker.worker, (None, None))
        rows.append(
            (
                worker.worker,
                "-" if worker.pid is None else str(worker.pid),
                worker.host,
                short_time(worker.started_at, now),
                job.job_id if job is not None else "(idle)",
                duration(now - lease.started_at) if lease is not None else "",
            )
        )
    print_table(("worker", "pid", "host", "since", "job", "for"), rows)
