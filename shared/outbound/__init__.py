"""What goes to targets: HTTP requests, with their credentials and signatures.

>>> from shared.outbound.sender import body
>>> body({"targetRestApiPayload": {"orderid": "18jan"}})
b'{"orderid":"18jan"}'
"""
