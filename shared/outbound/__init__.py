"""What goes to targets: HTTP requests, with their credentials and signatures.

>>> from shared.outbound.sender import headers
>>> dict(headers({"id": "7", "targetRestApiHeaders": {"X-Tenant": "north"}}, token="Bearer x"))["X-Tenant"]
'north'
"""
