"""The engine under a virtual clock: several workers, with faults drawn from a seed.

    python -m tests.simulation 2000              the seeds 0 to 1999
    python -m tests.simulation --seed 17         one seed, with its trace

What runs is `shared/` as it is, over the emulated database. `world` has the time, and who is alive; `faults`
what the database does; `processes` the functions' processes and the targets; `scenario` draws a run from a
seed and holds its evidence against the checker that the fault tests use.
"""
