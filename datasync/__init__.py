"""The operator's command line, `datasync`: looks at a deployment and replays what failed.

It knows a deployment by its HTTP routes alone, needs `requests` and `rich`, and imports nothing of the
functions' library.
"""

VERSION = "0.1.0"
