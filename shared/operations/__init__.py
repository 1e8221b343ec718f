"""What operators run and read: maintenance, the report and its page, provisioning.

Maintenance is a sequence of steps, each of which says part by part what it did:

>>> from shared.operations.maintenance import Done
>>> Done(archived=500) + Done(archived=20, endOfWork=False)
Done(archived=520, archivedDead=0, expired=0, secretsDeleted=0, endOfWork=False, anotherRun=False)
"""
