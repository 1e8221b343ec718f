"""The way out: what is due is leased, fetched in pages, sent in order, and its outcome written."""
