#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What an attacker says to a hub over TCP.

    attacker.py say HOST PORT FILE COPIES    these bytes, so many times over, each on a connection of its own
    attacker.py slow HOST PORT FILE COPIES   the same, a byte a second, from all of them at once
    attacker.py silent HOST PORT COPIES      nothing, from so many at once
    attacker.py relay PORT HOST PORT FILE    between a leaf and its hub; what the leaf says, at last, is FILE

say ends when all have been hung up on; the others when they are killed. Each says a line when all are connected.
"""
import resource
import select
import socket
import sys
import time

LIMIT_S = 60


def dial(host, port):
    return socket.create_connection((host, int(port)), LIMIT_S)


def hung_up(connection):
    """Wait for the end of what the other side says."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass


def send_all(connection, data):
    try:
        connection.sendall(data)
    except (ConnectionResetError, BrokenPipeError):
        pass  # they have heard enough


def say(host, port, path, copies):
    with open(path, 'rb') as f:
        data = f.read()
    print('ready', flush=True)
    for _ in range(int(copies)):
        with dial(host, port) as connection:
            send_all(connection, data)
            hung_up(connection)


def slow(host, port, path, copies):
    with open(path, 'rb') as f:
        data = f.read()
    connections = [dial(host, port) for _ in range(int(copies))]
    print('ready', flush=True)
    for i in range(len(data)):
        for connection in connections:
            send_all(connection, data[i:i + 1])
        time.sleep(1)


def silent(host, port, copies):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = []
    while len(connections) < int(copies):
        try:
            connections.append(dial(host, port))
        except (ConnectionResetError, TimeoutError):
            pass  # a full backlog
    print('ready', flush=True)
    time.sleep(1e6)


def pump(leaf, hub, record):
    while True:
        for end in select.select([leaf, hub], [], [])[0]:
            data = end.recv(65536)
            if not data:
                return
            if end is leaf:
                record.write(data)
            (hub if end is leaf else leaf).sendall(data)


def relay(port, to_host, to_port, path):
    listener = socket.create_server(('127.0.0.1', int(port)))
    print('ready', flush=True)
    while True:  # the leaf may need another try
        leaf = listener.accept()[0]
        with leaf, dial(to_host, to_port) as hub, open(path, 'wb', buffering=0) as record:
            try:
                pump(leaf, hub, record)
            except (ConnectionResetError, BrokenPipeError):
                pass


{'say': say, 'slow': slow, 'silent': silent, 'relay': relay}[sys.argv[1]](*sys.argv[2:])
