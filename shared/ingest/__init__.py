"""Ingest: what a source sends is validated, its token kept, its records inserted.

>>> from shared.ingest.validation import Conditions, read
>>> members = {"targetRestApi": "https://erp.example.com/a", "targetRestApiOperation": "DELETE"}
>>> read([members], Conditions()).records == [members]
True
"""
