"""What operators run and read: maintenance, the report and its page, provisioning.

>>> from shared.operations.page import page
>>> page().status
200
"""
