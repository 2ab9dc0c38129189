#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The recipe that sq replaces, as it is usually written: two queues on the network by BaseManager.

Runs the whole job once (2 producers, 2 workers, the collector) and prints its tasks a second. Every
result is counted and checked.
"""

import queue
import sys
import time
from multiprocessing import Process
from multiprocessing.managers import BaseManager
from random import Random

AUTHKEY = b"not a secret: loopback only"


class Queues(BaseManager):
    """What God registers and the others ask for."""


def serve(register):
    pq, cq = queue.Queue(8192), queue.Queue(8192)
    Queues.register("pq", callable=lambda: pq)
    Queues.register("cq", callable=lambda: cq)
    manager = Queues(address=("127.0.0.1", 0), authkey=AUTHKEY)
    server = manager.get_server()
    register.send(server.address)
    server.serve_forever()


def connect(address):
    Queues.register("pq")
    Queues.register("cq")
    manager = Queues(address=address, authkey=AUTHKEY)
    manager.connect()
    return manager.pq(), manager.cq()


def produce(address, seed, count):
    pq, _ = connect(address)
    random = Random(seed)
    for _ in range(count):
        pq.put(random.randint(0, 1000000))


def work(address):
    pq, cq = connect(address)
    while (n := pq.get()) is not None:
        cq.put(f"{n} * {n} = {n * n}")


def collect(address, count):
    _, cq = connect(address)
    for _ in range(count):
        n, _, _, _, square = cq.get().split()
        if int(n) ** 2 != int(square):
            sys.exit("a wrong result")


def main():
    from multiprocessing import Pipe

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    here, there = Pipe()
    server = Process(target=serve, args=(there,), daemon=True)
    server.start()
    address = here.recv()
    pq, _ = connect(address)
    began = time.monotonic()
    producers = [Process(target=produce, args=(address, i, count // 2)) for i in range(2)]
    workers = [Process(target=work, args=(address,)) for _ in range(2)]
    collector = Process(target=collect, args=(address, count // 2 * 2))
    for process in [*producers, *workers, collector]:
        process.start()
    for process in producers:
        process.join()
    for _ in workers:
        pq.put(None)
    for process in [*workers, collector]:
        process.join()
    seconds = time.monotonic() - began
    server.terminate()
    if collector.exitcode:
        sys.exit("the collector failed")
    print(f"{count // 2 * 2 / seconds:.0f}")


if __name__ == "__main__":
    main()
