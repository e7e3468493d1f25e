"""Chooses the way to a store's place, and the check of its servers."""

from __future__ import annotations

from proxy.settings.store_address import Place
from proxy.store.cluster import Cluster
from proxy.store.lane import Wire
from proxy.store.sentinel import Sentinels
from proxy.store.server import Fitness, FitWire
from proxy.store.way import OneServer, Way
from proxy.store.wires import Wires


def way_to(place: Place, wires: Wires, deadline: float) -> tuple[Way, Fitness]:
    """Return the way to a place, and what will be found out about its servers."""
    if place.kind == "cluster":
        fitness = Fitness("cluster", primary=True)
        return Cluster(wires, place.hosts, fitness, deadline), fitness
    if place.kind == "sentinel":
        fitness, sentinels = Fitness(primary=True), Sentinels(wires, place.hosts, place.name)
        return OneServer(lambda: FitWire(sentinels.find, fitness.check), deadline, sentinels), fitness
    fitness = Fitness()

    async def find() -> Wire:
        return wires.to_socket() if place.kind == "socket" else wires.to(place.hosts[0])

    return OneServer(lambda: FitWire(find, fitness.check), deadline, None), fitness
