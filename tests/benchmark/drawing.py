"""The plots that docs/performance.md shows, from the results."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "oci-data-sync"  # the same figures give the same file


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write the pictures."""
    _draw_deliveries(results, folder)
    _draw_distances(results["distance"], folder)


def _draw_distances(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write a picture of deliveries per second by the distance of the database."""
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for latency, workers in dict.fromkeys((row["latency_ms"], row["workers"]) for row in rows):
        own = [row for row in rows if (row["latency_ms"], row["workers"]) == (latency, workers)]
        label = f"target at {latency} ms, {workers} worker(s)"
        axis.plot([row["distance_ms"] for row in own], [row["per_second"] for row in own], "o-", label=label)
    axis.set_xlabel("milliseconds in every round trip to the database")
    axis.set_ylabel("deliveries per second")
    axis.set_ylim(bottom=0)
    axis.legend()
    figure.savefig(folder / "distance.svg", metadata={"Date": None})
    plt.close(figure)


def _draw_deliveries(results: dict[str, Any], folder: Path) -> None:
    """Write a picture of deliveries per second, and of CPU per record, by latency."""
    rows = results["delivering"]
    latencies = sorted({row["latency_ms"] for row in rows})
    names = list(dict.fromkeys(row["contender"] for row in rows))
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.3), layout="constrained")
    for axis, member, title in (
        (axes[0], "per_second", "deliveries per second"),
        (axes[1], "cpu_per_1000", "CPU seconds per 1,000"),
    ):
        width = 0.8 / len(names)
        for number, name in enumerate(names):
            values = [
                next(row[member] for row in rows if (row["contender"], row["latency_ms"]) == (name, latency))
                for latency in latencies
            ]
            places = [place + number * width for place in range(len(latencies))]
            axis.bar(places, values, width, label=name)
        axis.set_xticks([place + 0.4 - width / 2 for place in range(len(latencies))])
        axis.set_xticklabels([f"{latency} ms" for latency in latencies])
        axis.set_xlabel("latency of the target")
        axis.set_title(title)
        axis.set_yscale("log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    figure.savefig(folder / "delivering.svg", metadata={"Date": None})
    plt.close(figure)
