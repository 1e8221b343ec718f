"""Delivery: what is due is leased, fetched in pages, sent in order, and its outcome written.

>>> from shared.delivery.summary import Summary
>>> Summary(succeeded=2).plus(Summary(failed=1)).handled
3
"""
