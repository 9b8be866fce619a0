"""SQS: the job queue with its tickets, and the queues that finished and failed jobs go to.

A job that the table knows is on the job queue as a ticket, which only says where to look: any
number of them for one job do no harm. Other programs put a job's own JSON there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from shoal.core.spec import storable

BATCH = 10
"""Messages that one call takes: SQS's limit."""

REASON_CHARACTERS = 1_000


class Message(NamedTuple):
    """A message that was received, and has to be deleted when it is dealt with."""

    message_id: str
    receipt: str
    body: str

    @property
    def ticket(self) -> str | None:
        """The job it is a ticket for; None: it is a job's own JSON, or no good."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        if isinstance(content, dict) and content.keys() == {"ticket"}:
            name = content["ticket"]
            return name if isinstance(name, str) else None
        return None


class Queue:
    """One queue, by name.

    Args:
        client: of SQS.
        name: of the queue.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Its address, looked up once."""
        if self._url is None:
            self._url = self._client.get_queue_url(QueueName=self.name)["QueueUrl"]
        return self._url

    def exists(self) -> bool:
        """Whether there is such a queue, now."""
        self._url = None
        try:
            return bool(self.url)
        except ClientError as error:
            if not _says_missing(error):
                raise
            return False

    def receive(self, wait_s: int) -> Message | None:
        """The next message, hidden from others for the queue's visibility timeout."""
        return next(iter(self.receive_some(wait_s, 1)), None)

    def receive_some(self, wait_s: int, most: int = BATCH) -> list[Message]:
        """The next messages, hidden from others for the queue's visibility timeout."""
        answer = self._client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=most, WaitTimeSeconds=wait_s
        )
        return [
            Message(message["MessageId"], message["ReceiptHandle"], message["Body"])
            for message in answer.get("Messages", ())
        ]

    def delete(self, message: Message) -> None:
        """Take a message off the queue."""
        self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)

    def delete_some(self, messages: Sequence[Message]) -> None:
        """Take at most BATCH messages off the queue; one that stays comes again."""
        self._client.delete_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message.receipt}
                for number, message in enumerate(messages)
            ],
        )

    def send(self, body: str, *, delay_s: int = 0, **attributes: str) -> None:
        """Put a message on the queue."""
        self._client.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            DelaySeconds=delay_s,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": _attribute(value)}
                for name, value in attributes.items()
            },
        )

    def send_if_there(self, body: str, *, reason: str, status: str) -> bool:
        """Put a message on the queue; False when there is no such queue."""
        try:
            self.send(body, reason=reason, status=status)
        except ClientError as error:
            if not _says_missing(error):
                raise
            self._url = None
            return False
        return True

    def send_tickets(self, job_ids: Sequence[str], pool: ThreadPoolExecutor | None = None) -> None:
        """Put tickets on the queue."""
        parts = [job_ids[start : start + BATCH] for start in range(0, len(job_ids), BATCH)]
        for _ in (
            map(self._send_batch, parts) if pool is None else pool.map(self._send_batch, parts)
        ):
            pass

    def depths(self) -> dict[str, int]:
        """How many messages wait, are being looked at, and are delayed; about."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return {name: int(answer["Attributes"].get(name, 0)) for name in names}

    def _send_batch(self, job_ids: Iterable[str]) -> None:
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"ticket": job_id})}
            for number, job_id in enumerate(job_ids)
        ]
        while entries:
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
            failed = {failure["Id"]: failure for failure in answer.get("Failed", ())}
            for failure in failed.values():
                if failure.get("SenderFault"):
                    raise ValueError(f"SQS refused a ticket: {failure.get('Message')}")
            entries = [entry for entry in entries if entry["Id"] in failed]


def _says_missing(error: ClientError) -> bool:
    code = error.response["Error"]["Code"]
    return "NonExistentQueue" in code or "QueueDoesNotExist" in code


def allowed(body: str) -> str:
    """JSON text as SQS takes it: two characters of Unicode have to be written as escapes.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    return body.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _attribute(value: str) -> str:
    """Text as SQS takes it: not empty, short, without control characters."""
    shown = "".join(char if char.isprintable() else " " for char in storable(value))
    return shown[:REASON_CHARACTERS] or " "
