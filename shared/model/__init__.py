"""What the library talks about: values and rules that need no I/O. Imports nothing but itself.

>>> from shared.model.targets import parse_url
>>> parse_url("https://erp.example.com/orders").origin
'erp.example.com:443'
"""
