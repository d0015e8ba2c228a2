#!/usr/bin/env python3
"""Strangers at a coordinator's door: stranger.py KIND ADDRESS [SEED], ADDRESS a port of 127.0.0.1 or a socket's path.

  silent N   N connections that say nothing; prints `held` and keeps them until standard input ends
  reset N    N connections, each reset at once
  frames     oversized, short, wrong and random frames, a connection each; prints how many were closed by the other side
"""
import random
import socket
import struct
import sys


def connect():
    path = sys.argv[2]
    if path.isdigit():
        return socket.create_connection(("127.0.0.1", int(path)), 10)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    return s


def silent(count):
    held = []
    for _ in range(count):
        try:
            held.append(connect())
        except OSError:
            pass
    print("held", len(held), flush=True)
    sys.stdin.read()


def reset(count):
    for _ in range(count):
        try:
            s = connect()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        except OSError:
            pass
    print("reset", count, flush=True)


def frame(channel, payload, length=None):
    return struct.pack(">IB", len(payload) if length is None else length, channel) + payload


def frames(seed):
    rng = random.Random(seed)
    hello = bytes(rng.randrange(256) for _ in range(200))
    cases = [
        frame(0, b"", 0xFFFFFFFF), frame(0, b"", 0x7FFFFFFF), frame(0, b"x", 65536), frame(200, b"x"), frame(0, b""),
        frame(0, b"x", 1000), b"\x00", b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" + hello,
        frame(0, hello), frame(1, hello), frame(2, hello), frame(0, hello[:7]) * 300,
    ]
    cases += [bytes(rng.randrange(256) for _ in range(rng.randrange(1, 3000))) for _ in range(60)]
    cases += [frame(rng.randrange(4), bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300)))) for _ in range(60)]
    closed = 0
    for data in cases:
        s = connect()
        s.settimeout(15)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
            closed += 1
        except (ConnectionError, BrokenPipeError):
            closed += 1
        except OSError as error:
            print("left open:", data[:20], error)
        s.close()
    print("closed", closed, "of", len(cases), flush=True)
    return closed == len(cases)


kind = sys.argv[1]
if kind == "frames":
    sys.exit(0 if frames(int(sys.argv[3]) if len(sys.argv) > 3 else 1) else 1)
(silent if kind == "silent" else reset)(int(sys.argv[3]))
