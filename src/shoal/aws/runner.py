"""Attempts by SSM Run Command: no agent of ours is on the machine.

A command can't be sent under a name of ours, so a call that got no answer may have started it. It
is never sent a second time: it is looked for, by the comment it carries.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from shoal.aws import names
from shoal.aws.logs_in_s3 import Output
from shoal.aws.reader import CONFIG
from shoal.aws.scripts import MAX_EXECUTION_S, Place, render
from shoal.aws.workers import Assignment, Workers
from shoal.core.confirm import Ended
from shoal.core.errors import ShoalError, SpecError
from shoal.core.job import Job, Started
from shoal.core.spec import SCRIPT_DOCUMENTS

ONCE = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1})
"""For a call that may not be repeated."""

DELIVERY_S = 600
"""How long SSM tries to reach the agent of a worker that was just there."""

FIRST_STDOUT, FIRST_STDERR = 24_000, 8_000
"""Bytes of the output that SSM returns by itself."""

STAGING_TROUBLE, FILE_MISSING, OUT_OF_TIME = 121, 122, 124
"""Exit codes of our scripts, each with a last line on stderr that begins with OURS."""

OURS = "shoal: "

RUNS = ("Pending", "InProgress", "Delayed", "Cancelling")
WORKER_GONE = ("Undeliverable", "Terminated", "Delivery Timed Out", "DeliveryTimedOut")
NOT_SENT = (
    *("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"),
    *("AccessDeniedException", "AccessDenied"),
)
BAD_REQUEST = (
    *("InvalidDocument", "InvalidDocumentVersion", "InvalidParameters", "ValidationException"),
    *("UnsupportedPlatformType", "MaxDocumentSizeExceeded", "DuplicateInstanceId"),
)

LOOKS, LOOK_EVERY_S = 8, 1.0
"""For a command that may have been sent: SSM lists it a moment later."""


class WorkerGone(ShoalError):
    """The worker does not answer any more, or it is not known what it runs."""

    code = "worker_gone"


class FleetFacts(NamedTuple):
    """What the runner has to know about the fleet of a queue.

    Args:
        bucket: the drop bucket; None: the queue has none.
        working_directory: by which executables may find their files.
        timeout_s: of attempts whose job does not say.
    """

    bucket: str | None
    working_directory: str
    timeout_s: float


class SsmRunner:
    """Starts attempts on the workers of a queue, and gathers how they ended.

    Args:
        session: of boto3.
        workers: where it notes what each worker runs.
        fleet: of the queue.
        queue: its name.
        log_bucket: where SSM puts the output.
        log_group: where SSM streams the output; None: nowhere.
        environment: the name by which a job can reach this environment.
    """

    def __init__(
        self,
        session: Any,
        workers: Workers,
        fleet: FleetFacts,
        queue: str,
        log_bucket: str,
        log_group: str | None,
        environment: str,
    ) -> None:
        self._session = session
        self._send = session.client("ssm", config=ONCE).send_command
        self._ssm = session.client("ssm", config=CONFIG)
        self._workers = workers
        self._fleet = fleet
        self._queue = queue
        self._log_bucket = log_bucket
        self._log_group = log_group
        self._environment = environment

    def timeout_s(self, job: Job) -> float:
        """How long an attempt of a job may run."""
        return min(job.spec.timeout or self._fleet.timeout_s, MAX_EXECUTION_S)

    def start(self, job: Job, worker: str, task_token: str, now: float) -> Assignment | Ended:
        """Send the command of an attempt, unless it was sent before.

        Returns:
            What the worker runs; or how the attempt ended, when it could not be sent at all.

        Raises:
            WorkerGone: the worker can't be reached, or it is not known whether the command was
                sent. Nothing else may be sent to it.
        """
        try:
            document, parameters = render(job.spec, self._place(job))
        except SpecError as error:
            return Ended(problem=str(error), retry_helps=False)
        mine = Assignment(worker, job.job_id, str(job.token), None, task_token, now)
        known = self._workers.assign(mine)
        if known.command_id is not None:
            return known
        if known.sent_at != now:  # it was about to be sent, by somebody who went away
            return self._find(known)
        arguments: dict[str, Any] = {
            "InstanceIds": [worker],
            "DocumentName": document,
            "Parameters": parameters,
            "Comment": names.command_comment(job.job_id, job.token),
            "TimeoutSeconds": DELIVERY_S,
            "OutputS3BucketName": self._log_bucket,
            "OutputS3KeyPrefix": self._queue,
        }
        if self._log_group is not None:
            arguments["CloudWatchOutputConfig"] = {
                "CloudWatchLogGroupName": self._log_group,
                "CloudWatchOutputEnabled": True,
            }
        try:
            answer = self._send(**arguments)
        except ClientError as error:
            return self._refused(known, error)
        except (ConnectTimeoutError, EndpointConnectionError):
            self._workers.forget(known)  # nothing was sent
            raise
        except HTTPClientError:
            return self._find(known)
        command_id: str = answer["Command"]["CommandId"]
        self._workers.sent(known, command_id)
        return known._replace(command_id=command_id)

    def _place(self, job: Job) -> Place:
        return Place(
            str(job.token),
            self._fleet.bucket,
            self._fleet.working_directory,
            self.timeout_s(job),
            self._environment,
        )

    def _refused(self, known: Assignment, error: ClientError) -> Ended | Assignment:
        code = error.response["Error"]["Code"]
        if code == "InvalidInstanceId":
            raise WorkerGone(
                f"{known.worker} does not answer SSM ({error})", "its job goes to another worker"
            ) from error
        if code in BAD_REQUEST:
            self._workers.forget(known)
            message = error.response["Error"].get("Message", "")
            return Ended(problem=f"SSM refuses it: {code} {message}"[:500], retry_helps=False)
        if code not in NOT_SENT:
            return self._find(known)
        self._workers.forget(known)
        raise error

    def _find(self, known: Assignment) -> Assignment:
        """Find a command that may have been sent, and note its id."""
        comment = names.command_comment(known.job_id, known.token)
        after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(known.sent_at - 60))
        for _ in range(LOOKS):
            now = self._workers.get(known.worker)
            if now is not None and now.token == known.token and now.command_id is not None:
                return now._replace(task_token=known.task_token)
            answer = self._ssm.list_commands(
                InstanceId=known.worker, Filters=[{"key": "InvokedAfter", "value": after}]
            )
            for command in answer["Commands"]:
                if command.get("Comment") == comment:
                    self._workers.sent(known, command["CommandId"])
                    return known._replace(command_id=command["CommandId"])
            time.sleep(LOOK_EVERY_S)
        raise WorkerGone(
            f"it is not known whether {known.worker} was told to run {known.job_id!r}",
            "the worker is given back, and the job goes to another one",
        )

    def has_ended(self, worker: str, command_id: str) -> bool:
        """Whether an attempt is over.

        Raises:
            WorkerGone: the command never reached the worker, or ended with it.
        """
        return self._facts(worker, command_id) is not None

    def look(
        self, job: Job, worker: str, command_id: str, *, patient: bool = False
    ) -> Ended | None:
        """How an attempt ended; None: it runs.

        Args:
            job: of the attempt.
            worker: that runs it.
            command_id: of SSM.
            patient: whether to raise OutputMissing rather than to judge without the output.

        Raises:
            WorkerGone: as `has_ended`.
            OutputMissing: SSM has not put it into S3 yet.
        """
        facts = self._facts(worker, command_id)
        if facts is None:
            return None
        output = Output(
            self._session.client("s3", config=CONFIG),
            self._log_bucket,
            f"{self._queue}/{command_id}/",
            facts.get("StandardOutputContent", ""),
            facts.get("StandardErrorContent", ""),
            (FIRST_STDOUT, FIRST_STDERR),
        )
        return self._judge(job, facts, output, patient=patient)

    def _facts(self, worker: str, command_id: str) -> Any | None:
        """What SSM knows about a command that is over."""
        try:
            facts = self._ssm.get_command_invocation(CommandId=command_id, InstanceId=worker)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvocationDoesNotExist":
                return None  # not yet
            raise
        status, details = facts["Status"], facts.get("StatusDetails", "")
        if status in RUNS:
            return None
        if status in WORKER_GONE or details in WORKER_GONE:
            raise WorkerGone(
                f"SSM reports {details or status} for {worker}", "its job goes to another worker"
            )
        return facts

    def _judge(self, job: Job, facts: Any, output: Output, *, patient: bool) -> Ended:
        status, tail = facts["Status"], output.tail()
        if status == "Cancelled":  # and the job is still ours: nobody has cancelled that
            raise WorkerGone("its SSM command was cancelled", "the job goes to another worker")
        if status == "TimedOut":
            if self._may_be_out_of_time(job):
                return Ended(timed_out_s=self.timeout_s(job), output_tail=tail)
            status = "Failed"  # SSM's agent takes a process that was killed for one out of time
        if status not in ("Success", "Failed"):
            return Ended(
                problem=f"SSM reports status {status!r}, which Shoal does not know",
                output_tail=tail,
            )
        code = facts.get("ResponseCode", -1)
        if status == "Success" and code != 0:
            return Ended(problem=f"SSM reports Success with exit code {code}", output_tail=tail)
        if status == "Failed" and code in (0, -1):
            return Ended(problem=f"SSM reports {facts.get('StatusDetails')}", output_tail=tail)
        is_script = job.spec.ssm_document in SCRIPT_DOCUMENTS
        last = output.last_error_line()
        if is_script and last.startswith(OURS):
            if code == OUT_OF_TIME:
                return Ended(timed_out_s=self.timeout_s(job), output_tail=tail)
            if code in (STAGING_TROUBLE, FILE_MISSING):
                return Ended(problem=last.removeprefix(OURS), output_tail=tail)
        ended = Ended(
            exit_code=code,
            missing_files=() if is_script and code == 0 else None,  # the script has looked
            last_output=output.last_words(),
            output_tail=tail,
        )
        if not job.spec.wants_string or code != 0:
            return ended
        return output.with_string(ended, job.spec.job_success_string, patient=patient)

    def _may_be_out_of_time(self, job: Job) -> bool:
        assert isinstance(job.state, Started)
        return time.time() - job.state.lease.started_at >= self.timeout_s(job)
