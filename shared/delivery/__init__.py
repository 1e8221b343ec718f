"""The way out: what is due is leased, fetched in pages, sent in order, and its outcome written.

>>> from shared.delivery.requests import task
>>> task(b'{"task": "maintenance"}').name
'maintenance'
"""
