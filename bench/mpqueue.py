#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The recipe's job over multiprocessing.Queue: one producer, one worker, the collector.

Runs it once and prints its tasks a second. Every result is counted and checked.
"""

import sys
import time
from multiprocessing import Process, Queue
from random import Random


def produce(pq, count):
    random = Random(1)
    for _ in range(count):
        pq.put(random.randint(0, 1000000))
    pq.put(None)


def work(pq, cq):
    while (n := pq.get()) is not None:
        cq.put(f"{n} * {n} = {n * n}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    pq, cq = Queue(8192), Queue(8192)
    others = [Process(target=produce, args=(pq, count)), Process(target=work, args=(pq, cq))]
    began = time.monotonic()
    for process in others:
        process.start()
    for _ in range(count):
        n, _, _, _, square = cq.get().split()
        if int(n) ** 2 != int(square):
            sys.exit("a wrong result")
    seconds = time.monotonic() - began
    for process in others:
        process.join()
    print(f"{count / seconds:.0f}")


if __name__ == "__main__":
    main()
