"""Benchmarks: each compares contenders in one run; `python -m tests.benchmark` runs them all.

contenders    what is compared with the bundle: the sequential pattern, the floor, echo functions
machine       processes on this machine: their CPU time, targets to send to
delivering    records per second and CPU per record, at several latencies of the target
draining      a backlog with one, two and four processes
storing       latency of /store beside a function that only echoes
limiting      how much is used of what a target allows, and how much is sent in vain
pausing       time for ten records beside many of a target that is paused, or rests
finding       time to find and lease the next page, in small and large collections
counting      round trips to the database and calls to Vault, per record
starting      from the start of a process to its first answer
drawing       the plots
"""
