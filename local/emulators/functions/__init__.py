"""OCI Functions on one machine: runs each function as the cloud does, in processes of the `fdk` command.

model.py    what travels: a function's definition, a call's reply, the errors of the service itself
headers.py  HTTP headers to and from the form in which functions get them
process.py  one process of a function, serving one call at a time on a unix socket
runner.py   processes on demand, the queue before them, time-outs, detached calls

async with FunctionRunner([store_data, process_data], home) as runner:
    reply = await runner.call_http("store-data", "POST", "/store", headers, body)   # as the gateway does
    reply = await runner.invoke("process-data", b"", detached=True)                 # as a scheduler does
"""

from local.emulators.functions.headers import end_to_end
from local.emulators.functions.model import MAX_BODY_BYTES, Function, Headers, Reply, problem
from local.emulators.functions.runner import FunctionRunner

__all__ = ["MAX_BODY_BYTES", "Function", "FunctionRunner", "Headers", "Reply", "end_to_end", "problem"]
