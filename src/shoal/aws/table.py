"""DynamoDB: the few operations Shoal needs, each safe to repeat.

The AWS client repeats a call whose answer was lost. A conditional write that had succeeded would
then be refused by its own effect; so every write carries an id of its own, and a refusal by an
item that has this id is none.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from shoal.aws.items import Item, Value, text

BATCH_GET, BATCH_WRITE, TRANSACTION = 100, 25, 100
"""Items that one call takes: limits of DynamoDB."""

TRANSACTION_BYTES = 3_500_000
"""Of 4 MB, which is DynamoDB's limit."""


class Refused(Exception):
    """The condition of a write did not hold; `item` is what is there, if anything."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition did not hold")
        self.item = item


class Table:
    """One table.

    Args:
        client: of DynamoDB.
        name: of the table.
        keys: the names of its key attributes.
    """

    def __init__(self, client: Any, name: str, keys: tuple[str, ...]) -> None:
        self._client = client
        self.name = name
        self._keys = keys

    def key(self, *values: str) -> dict[str, Value]:
        """A key."""
        return {name: text(value) for name, value in zip(self._keys, values, strict=True)}

    def get(self, *key: str) -> Item | None:
        """An item as it is now."""
        found = self._client.get_item(TableName=self.name, Key=self.key(*key), ConsistentRead=True)
        item: Item | None = found.get("Item")
        return item

    def get_many(self, keys: Sequence[tuple[str, ...]]) -> Iterator[Item]:
        """The items of distinct keys that are there, in any order."""
        for start in range(0, len(keys), BATCH_GET):
            wanted = [self.key(*key) for key in keys[start : start + BATCH_GET]]
            while wanted:
                answer = self._client.batch_get_item(
                    RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}}
                )
                yield from answer["Responses"].get(self.name, ())
                wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def put(self, item: Item, *, unless_there: bool = False) -> None:
        """Write a whole item. Raises Refused."""
        change = uuid.uuid4().hex
        arguments: dict[str, Any] = {}
        if unless_there:
            arguments = {
                "ConditionExpression": "attribute_not_exists(#key)",
                "ExpressionAttributeNames": {"#key": self._keys[0]},
            }
        self._conditionally(
            self._client.put_item, change, Item={**item, "change": text(change)}, **arguments
        )

    def insert(self, items: Sequence[Item]) -> bool:
        """Write up to TRANSACTION items, all of them new, or none and return False."""
        try:
            self._client.transact_write_items(
                ClientRequestToken=uuid.uuid4().hex,
                TransactItems=[
                    {
                        "Put": {
                            "TableName": self.name,
                            "Item": dict(item),
                            "ConditionExpression": "attribute_not_exists(#key)",
                            "ExpressionAttributeNames": {"#key": self._keys[0]},
                        }
                    }
                    for item in items
                ],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            return False
        return True

    def put_many(self, items: Sequence[Item]) -> None:
        """Write whole items without a condition."""
        for start in range(0, len(items), BATCH_WRITE):
            requests = [
                {"PutRequest": {"Item": dict(item)}} for item in items[start : start + BATCH_WRITE]
            ]
            while requests:
                answer = self._client.batch_write_item(RequestItems={self.name: requests})
                requests = answer.get("UnprocessedItems", {}).get(self.name, [])

    def update(
        self,
        key: tuple[str, ...],
        *,
        sets: Mapping[str, Value] | None = None,
        removes: Sequence[str] = (),
        appends: Mapping[str, Value] | None = None,
        expect: Mapping[str, Value | None] | None = None,
    ) -> None:
        """Change an item.

        Args:
            key: which.
            sets: attributes to set.
            removes: attributes to remove.
            appends: lists to append to attributes.
            expect: values that attributes must have; None: the attribute must not be there.

        Raises:
            Refused: something was not as expected; nothing was changed.
        """
        change = uuid.uuid4().hex
        words = _Words()
        parts = [
            f"{words.name(name)} = {words.value(value)}"
            for name, value in {**(sets or {}), "change": text(change)}.items()
        ]
        for name, value in (appends or {}).items():
            known = words.name(name)
            parts.append(
                f"{known} = list_append(if_not_exists({known}, {words.value({'L': []})}),"
                f" {words.value(value)})"
            )
        expression = "SET " + ", ".join(parts)
        if removes:
            expression += " REMOVE " + ", ".join(words.name(name) for name in removes)
        arguments: dict[str, Any] = {}
        if expect:
            arguments["ConditionExpression"] = " AND ".join(
                f"attribute_not_exists({words.name(name)})"
                if value is None
                else f"{words.name(name)} = {words.value(value)}"
                for name, value in expect.items()
            )
        self._conditionally(
            self._client.update_item,
            change,
            Key=self.key(*key),
            UpdateExpression=expression,
            ExpressionAttributeNames=words.names,
            ExpressionAttributeValues=words.values,
            **arguments,
        )

    def next_number(self, *key: str) -> int:
        """Count up an item, and return the new count. A lost answer skips a number."""
        answer = self._client.update_item(
            TableName=self.name,
            Key=self.key(*key),
            UpdateExpression="ADD #count :one",
            ExpressionAttributeNames={"#count": "count"},
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["count"]["N"])

    def delete(self, *key: str) -> None:
        """Remove an item, if it is there."""
        self._client.delete_item(TableName=self.name, Key=self.key(*key))

    def query(
        self,
        where: str,
        values: Mapping[str, Value],
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        backwards: bool = False,
        page: int | None = None,
        only: str | None = None,
        wanted: str | None = None,
    ) -> Iterator[Item]:
        """Items of one partition, in order; pages are fetched as they are consumed.

        Args:
            where: the condition on the keys.
            values: what stands for values in expressions.
            index: which; None: the table itself.
            names: what stands for names in expressions.
            backwards: whether the last come first.
            page: items that one call looks at.
            only: a condition on the other attributes; what it leaves out is paid for as well.
            wanted: the attributes that are needed; None: all that are there.
        """
        arguments: dict[str, Any] = {"ScanIndexForward": not backwards, **_limit(page)}
        if only is not None:
            arguments["FilterExpression"] = only
        if wanted is not None:
            arguments["ProjectionExpression"] = wanted
        for answer in self._pages(where, values, index, names, **arguments):
            yield from answer["Items"]

    def count(
        self,
        where: str,
        values: Mapping[str, Value],
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        at_most: int | None = None,
    ) -> int:
        """How many items there are, counted up to a limit."""
        number = 0
        if at_most == 0:
            return 0
        for answer in self._pages(where, values, index, names, Select="COUNT", **_limit(at_most)):
            number += answer["Count"]
            if at_most is not None and number >= at_most:
                return at_most
        return number

    def _pages(
        self,
        where: str,
        values: Mapping[str, Value],
        index: str | None,
        names: Mapping[str, str] | None,
        **arguments: Any,
    ) -> Iterator[dict[str, Any]]:
        if index is not None:
            arguments["IndexName"] = index
        else:
            arguments["ConsistentRead"] = True
        if names:
            arguments["ExpressionAttributeNames"] = dict(names)
        while True:
            answer = self._client.query(
                TableName=self.name,
                KeyConditionExpression=where,
                ExpressionAttributeValues=dict(values),
                **arguments,
            )
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _conditionally(self, call: Callable[..., Any], change: str, **arguments: Any) -> None:
        if "ConditionExpression" in arguments:
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            call(TableName=self.name, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            item: Item | None = error.response.get("Item") or None
            if item is None or item.get("change") != text(change):
                raise Refused(item) from None


class _Words:
    """Placeholders: attribute names may be words that DynamoDB keeps for itself."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Value] = {}

    def name(self, name: str) -> str:
        self.names[f"#{name}"] = name
        return f"#{name}"

    def value(self, value: Value) -> str:
        word = f":v{len(self.values)}"
        self.values[word] = value
        return word


def _limit(number: int | None) -> dict[str, int]:
    return {} if number is None else {"Limit": number}
