"""The emulator's own process: ministack, brought closer to AWS where it matters, and hooks.

Runs as a program; `emulator.py` starts it. What is changed, and why:

- `PutEvents` takes `aws.*` sources, so that the stand-in for the machines can publish EC2's and
  SSM's events.
- A function that fails under `.waitForTaskToken` fails the state, as on AWS; ministack waits on.
- A function's error has the name of the exception's class, by which a state machine knows it.
- A rule's call of a function is asynchronous as on AWS: a failed call is tried twice more.
- The state machine's role must allow `lambda:InvokeFunction` and `states:StartExecution`.
- Log groups are named in permissions as on AWS: `log-group:NAME:*`, or with `:log-stream:NAME`.
- Policies may ask for tags of instances (`aws:ResourceTag/KEY`).
- A group that has a MixedInstancesPolicy keeps its launch template, group after group.
- The loopback interface counts as TLS: bucket policies refuse what comes without it.
- TimeoutSeconds may be a JSONata expression, and a task token belongs to its state machine.
- Batches of SQS messages need the permission for one message, as on AWS.
- Waiting for a silent function's log lines ends after 5 ms and not after 50.

The hooks (`/_harness/...`) serve tests only: they count calls of functions, say what instances and
groups there are, and tell whether IAM allows a call that the stand-in received.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

# Die with the test process, whatever kills that.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)

from ministack import app  # noqa: E402
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, responses  # noqa: E402
from ministack.core.iam_evaluator import (  # noqa: E402
    AuthError,
    EvalContext,
    _gather_role_policies,
    enforce,
    evaluate,
)
from ministack.services import (  # noqa: E402
    autoscaling,
    ec2,
    eventbridge,
    lambda_svc,
    sqs,
    stepfunctions,
    tagging,
)
from ministack.services.cloudformation import provisioners  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# ---- closer to AWS --------------------------------------------------------------------------

eventbridge._put_events.__defaults__ = (True,)

_action_from_target = iam_actions._action_from_target


def _action(headers: dict[str, str]) -> str | None:
    action: str | None = _action_from_target(headers)
    one = (action or "").removesuffix("Batch")
    return one if one in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility") else action


iam_actions._action_from_target = _action

_resolve_condition_key = iam_evaluator._resolve_condition_key


def _resolve(key: str, context: EvalContext) -> Any:
    if key.lower() == "aws:securetransport":
        return "true"
    return _resolve_condition_key(key, context)


iam_evaluator._resolve_condition_key = _resolve
lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.005, 0.002, 0.250)

_role: contextvars.ContextVar[str] = contextvars.ContextVar("state_machine_role", default="")


class _FunctionFailed(Exception):
    """Carries a function's failure past the place where ministack drops it."""


_awaits_token: contextvars.ContextVar[bool] = contextvars.ContextVar("awaits_token", default=False)


_machine: contextvars.ContextVar[str] = contextvars.ContextVar("machine", default="")
_machine_of: dict[str, str] = {}
"""The state machine that a task token was made for."""


def _role_must_allow(action: str, resource: str) -> None:
    role_arn = _role.get()
    if not role_arn:
        return
    account = role_arn.split(":")[4]
    context = EvalContext(
        principal_arn=role_arn,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=responses.get_region(),
    )
    verdict = evaluate(context, _gather_role_policies(role_arn.rsplit("/", 1)[-1], account))
    if verdict.decision != "Allow":
        raise stepfunctions._ExecutionError(
            "Lambda.AWSLambdaException" if action.startswith("lambda:") else "States.TaskFailed",
            f"User: {role_arn} is not authorized to perform: {action} on resource: {resource}",
        )


_plain_run_execution = stepfunctions._run_execution
_plain_call_lambda = stepfunctions._call_lambda
_plain_invoke_with_callback = stepfunctions._invoke_with_callback
_plain_nested = stepfunctions._invoke_nested_start_execution


def _run_execution(arn: str) -> None:
    execution = stepfunctions._executions.get(arn) or {}
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn", "")) or {}
    _role.set(machine.get("roleArn", ""))
    _machine.set(execution.get("stateMachineArn", ""))
    _plain_run_execution(arn)


def _call_lambda(reference: str, event: object) -> object:
    _func, config, _name = lambda_svc._get_func_record_for_ref(reference)
    try:
        if config:
            _role_must_allow("lambda:InvokeFunction", config.get("FunctionArn", ""))
        return _plain_call_lambda(reference, event)
    except stepfunctions._ExecutionError as error:
        if _awaits_token.get():
            raise _FunctionFailed(error) from error
        raise


def _invoke_with_callback(resource: str, data: object, token: str, state: dict[str, Any]) -> object:
    mark = _awaits_token.set(True)
    _machine_of[token] = _machine.get()
    timeout = state.get("TimeoutSeconds")
    if isinstance(timeout, str):
        seconds = stepfunctions._evaluate_jsonata(timeout.strip("{% }"), {})
        state = {**state, "TimeoutSeconds": seconds}
    try:
        return _plain_invoke_with_callback(resource, data, token, state)
    except _FunctionFailed as failed:
        stepfunctions._task_tokens.pop(token, None)
        raise failed.args[0] from None
    finally:
        _awaits_token.reset(mark)


def _invoke_nested(resource: str, data: dict[str, Any], *rest: Any) -> object:
    _role_must_allow("states:StartExecution", data.get("StateMachineArn", ""))
    return _plain_nested(resource, data, *rest)


stepfunctions._run_execution = _run_execution
stepfunctions._call_lambda = _call_lambda
stepfunctions._invoke_with_callback = _invoke_with_callback
stepfunctions._invoke_nested_start_execution = _invoke_nested


def _dispatch_to_lambda(arn: str, payload: str) -> None:
    func, config, _name = lambda_svc._get_func_record_for_ref(arn)
    if func and config:
        record = lambda_svc._execution_record_for_config(func, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


eventbridge._dispatch_to_lambda = _dispatch_to_lambda

_plain_asg_fields = provisioners._asg_fields


def _asg_fields(props: dict[str, Any]) -> dict[str, Any]:
    mixed = props.get("MixedInstancesPolicy")
    if mixed and not props.get("LaunchTemplate"):
        props = {**props, "LaunchTemplate": mixed["LaunchTemplate"]["LaunchTemplateSpecification"]}
    fields: dict[str, Any] = _plain_asg_fields(props)
    return fields


provisioners._asg_fields = _asg_fields

_plain_resource_arn = iam_actions.extract_resource_arn


def _resource_arn(
    service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
) -> str:
    arn: str = _plain_resource_arn(service, method, path, headers, body, *rest)
    if service == "states" and b"taskToken" in body:
        return _machine_of.get(json.loads(body)["taskToken"], arn)
    if service == "logs" and ":log-group:" in arn and not arn.endswith(":*"):
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action in ("PutLogEvents", "GetLogEvents", "DeleteLogStream"):
            return f"{arn}:log-stream:{json.loads(body).get('logStreamName', '')}"
        if not action.endswith(("TagResource", "TagsForResource")):
            return f"{arn}:*"
    return arn


iam_actions.extract_resource_arn = _resource_arn


def _collect_instances() -> Iterator[tuple[str, list[dict[str, str]]]]:
    where = f"arn:aws:ec2:{responses.get_region()}:{responses.get_account_id()}:instance"
    for name, tags in list(ec2._tags.items()):
        if name.startswith("i-"):
            yield f"{where}/{name}", tags


tagging._RESOURCE_TAG_COLLECTORS["ec2"] = _collect_instances

# ---- calls of functions, counted ------------------------------------------------------------

_calls_lock = threading.Lock()
_calls: dict[str, dict[str, float]] = {}
_failures: list[dict[str, str]] = []
_running: dict[str, int] = {}
_plain_execute = lambda_svc._execute_function


def _name_error(result: dict[str, Any]) -> None:
    """Put the class that the traceback ends with into `errorType`."""
    body = result.get("body")
    if not isinstance(body, dict) or body.get("errorType") != "Runtime.HandlerError":
        return
    trace = str(result.get("log", "")).rstrip()
    raised = trace.removesuffix(str(body.get("errorMessage", "")).rstrip()).rpartition("\n")[2]
    name = raised.rstrip(": ").rpartition(".")[2]
    if name.isidentifier():
        body["errorType"] = name


def _execute(func: dict[str, Any], event: object) -> dict[str, Any]:
    name = (func.get("config") or func).get("FunctionName", "")
    with _calls_lock:
        _running[name] = _running.get(name, 0) + 1
        at_once = _running[name]
    start = time.monotonic()
    result: dict[str, Any] = {"error": True}
    try:
        result = _plain_execute(func, event)
        _name_error(result)
        return result
    finally:
        took = time.monotonic() - start
        with _calls_lock:
            _running[name] -= 1
            seen = _calls.setdefault(name, {"calls": 0, "errors": 0, "seconds": 0, "at_once": 0})
            seen["calls"] += 1
            seen["seconds"] += took
            seen["at_once"] = max(seen["at_once"], at_once)
            if result.get("error"):
                seen["errors"] += 1
                _failures.append(
                    {
                        "function": name,
                        "error": json.dumps(result.get("body"), default=str),
                        "log": str(result.get("log", ""))[-4000:],
                    }
                )


lambda_svc._execute_function = _execute

# ---- hooks ----------------------------------------------------------------------------------


def _look() -> dict[str, Any]:
    """What instances and Auto Scaling groups there are."""
    instances = [
        [key[2], value["State"]["Name"]] for key, value in list(ec2._instances._data.items())
    ]
    groups = [value for _key, value in list(autoscaling._asgs._data.items())]
    found = {"instances": sorted(instances), "groups": groups}
    return {**found, "version": json.dumps(found, sort_keys=True, default=str)}


async def _watch(body: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + float(body.get("wait", 0))
    while True:
        found = _look()
        if found["version"] != body.get("known") or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(0.05)


async def _authorize(body: dict[str, Any]) -> dict[str, Any]:
    """The first of the checks that IAM refuses, or that the key is unknown; {} when none."""
    key = body["access_key"]
    responses.set_request_account_id(app._request_account_scope(key))
    responses.set_request_region(body["region"])
    for check in body["checks"]:
        denied = enforce(
            key,
            check["action"],
            check["action"].split(":")[0],
            body["region"],
            resource_arn=check["resource"],
            service_context=check.get("context"),
        )
        if isinstance(denied, AuthError):
            return {"code": "UnrecognizedClientException", "message": denied.message}
        if denied is not None:
            return {
                "code": "AccessDenied",
                "message": f"User: {denied.principal_arn} is not authorized to perform: "
                f"{check['action']} on resource: {check['resource']} because no identity-based "
                f"policy allows the {check['action']} action",
            }
    return {}


async def _functions(_body: dict[str, Any]) -> dict[str, Any]:
    with _calls_lock:
        return {"calls": {n: dict(c) for n, c in _calls.items()}, "failures": list(_failures)}


async def _environment(body: dict[str, Any]) -> dict[str, Any]:
    """Change what functions find in their environment; their processes start anew."""
    for name, value in body.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with lambda_runtime._lock:
        left = [worker for workers in lambda_runtime._workers.values() for worker in workers]
        lambda_runtime._workers.clear()
    restarted = len(left)
    while left:
        # One that is at work ends after it; no new work reaches any of them.
        await asyncio.to_thread(lambda_runtime.kill_workers, [w for w in left if not w.in_use])
        left = [worker for worker in left if worker.in_use]
        await asyncio.sleep(0.02 if left else 0)
    return {"restarted": restarted}


async def _undeleted(body: dict[str, Any]) -> dict[str, Any]:
    """Let the next messages that are deleted come again, as SQS may."""
    global _to_come_again
    _to_come_again = int(body["count"])
    return {}


_to_come_again = 0
_plain_delete_message = sqs._act_delete_message


def _delete_message(data: dict[str, Any], url: str) -> dict[str, Any]:
    global _to_come_again
    if _to_come_again:
        _to_come_again -= 1
        return {}
    found: dict[str, Any] = _plain_delete_message(data, url)
    return found


sqs._HANDLERS["DeleteMessage"] = _delete_message

_HOOKS = {
    "/_harness/look": _watch,
    "/_harness/authorize": _authorize,
    "/_harness/functions": _functions,
    "/_harness/environment": _environment,
    "/_harness/undeleted": _undeleted,
}
_plain_app = app.app


async def _with_hooks(scope: Scope, receive: Receive, send: Send) -> None:
    hook = _HOOKS.get(scope.get("path", ""))
    if hook is None:
        await _plain_app(scope, receive, send)
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = json.dumps(await hook(json.loads(body or b"{}")), default=str).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


app.app = _with_hooks

if __name__ == "__main__":
    app.main()
