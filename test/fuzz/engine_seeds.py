#!/usr/bin/env python3
"""Writes the programs of test/fuzz/corpus/engine: the operations of fuzz_engine.c by name.

usage: test/fuzz/engine_seeds.py [DIRECTORY]
"""
import os
import sys

# What the first byte says ...
SOCKETIO, WANTING, ECHO, BALANCED = range(4)
NOW, LATER, NOBODY, NEXT = 0, 4, 8, 12
NO_EIO3, ROOT, ORIGINS, FILE = 16, 32, 64, 128
# ... and the second.
BUF_64K, BUF_4K, BUF_1M, BUF_200 = 0, 1, 2, 3
CONNS_1000, CONNS_4, CONNS_1, CONNS_2 = 0, 4, 8, 12
FREE, DRAIN, RETIRE, RETIRE_NOW = 0, 16, 32, 48
READS = 64
TURN = 128

OPEN4, OPEN3, WS4, WS3, GET, POST, UPGRADE = range(7)
OPTIONS, HEAD, PUT, SCRIPT, STATUS, ELSEWHERE, OCTETS, LONG = range(7, 15)
CLOSE, OLD, EXPECT, CHUNKED, JSONP, BASE64, ORIGIN, CUT = (1 << i for i in range(8))
OTHER_SLOT = 128

# Packets.
JOIN, JOIN_ROOT, BIG, EVENT, ACK, LEAVE, BINARY, BYTES, END, PING, PONG, PROBE, GO, NOOP, JUNK = \
    ([i] for i in range(15))
BYE, MORE, HELLO, BYTES3 = [16], [17], [18], [19]
ACKS, BINARY_ACK, BINARY_ACK2, UNWANTED_ACK = [22], [23], [24], [25]


def big(kb):
    return [2, kb * 4 - 1]


def raw(text):
    return [15, len(text)] + list(text)


def op(code, peer, arg, turn=True):
    return [code | peer << 4 | (TURN if turn else 0), arg]


def turns(n, copies=0):
    """copies: what waits is copied out of blocks of which little does."""
    return op(0, 0, n - 1 | copies << 3, False)


def conn(peer, how=1):
    """how: 0 accepted, 1 adopted, 2 adopted and with little room in the kernel."""
    return op(1, peer, how)


def ask(peer, kind, who=0, flags=0, packets=None, cut=None, turn=True):
    code = op(2, peer, kind, turn) + [flags | (CUT if cut is not None else 0)]
    if kind >= GET:
        code.append(who)
    if kind == POST:
        packets = packets or []
        code += [len(packets)] + sum(packets, [])
    return code + ([cut] if cut is not None else [])


def frame(peer, packet, turn=True):
    return op(3, peer, 0, turn) + packet


def special(peer, what, *args):
    return op(3, peer, what) + list(args)


def text(peer, data):
    return op(4, peer, len(data)) + list(data)


def rest(peer):
    return op(5, peer, 0)


def read(peer, n=255):
    return op(6, peer, n)


def abort(peer):
    return op(7, peer, 0)


def close(peer):
    return op(7, peer, 1)


def half(peer):
    return op(7, peer, 2)


def fan(who, how=0, times=1):
    """how: 1 and 2 attachments, 4 and 8 larger, 16 volatile."""
    return op(8, 0, how | (times - 1) << 5) + [who]


ALL = 255


def app(what, who=0, *args):
    return op(9, 0, what) + [who] + list(args)


ACCEPT, REFUSE, DISCONNECT, EXPIRE, SEND, ACKED, NAMES, FLUSH, KNOWN, NOBODY_MORE, \
    LISTENS_NOT, GUARD, RECOVER, OFFSET = range(14)


def recover(who=0, lends=0):
    """The next step of one that comes back: that, the answer, the end.  lends: another's id."""
    return app(RECOVER, who, lends)


def wait(how):
    return op(10, 0, how)


MS1, MS10, MS100, MS500, S1, S3, S5, S11 = range(8)


def reload(what):
    return op(11, 0, what)


def nomem(skip, count):
    return op(12, 0, skip | count << 4, False)


def others(result, kernel=0, late=0, took=0, fewer=0):
    """What a handoff gets; what the kernel says of readers; fan-outs come late; another
    worker took a connection; which other has fewer clients."""
    return op(13, 0, result + 1 | kernel << 2 | late << 4 | took << 5 | fewer << 6, False)


KERNEL_READS, KERNEL_LAGS, KERNEL_FULL = 1, 2, 3


def back(which, stray=0):
    return op(14, 0, which) + [stray]


def polling(peer, kind=OPEN4, who=0, flags=0):
    """A session that is in the namespace and has read so far."""
    return conn(peer) + ask(peer, kind, flags=flags) + read(peer) + \
        ask(peer, POST, who, flags, [JOIN]) + read(peer) + ask(peer, GET, who, flags) + read(peer)


def stuck(peer, who, by, more=()):
    """The answer to who's GET is leaving and is not read; it ends with more."""
    return ask(by, POST, who, 0, [big(60)]) + read(by) + list(more) + conn(peer, 2) + \
        ask(peer, GET, who)


def websocket(peer, kind=WS4, how=1):
    return conn(peer, how) + ask(peer, kind) + frame(peer, JOIN) + read(peer)


def upgrade(peer, who):
    return conn(peer) + ask(peer, UPGRADE, who) + frame(peer, PROBE) + frame(peer, GO)


SEEDS = {
    # A POST in part behind an answer that is leaving, and an upgrade.
    'upgrade-amid': [SOCKETIO, BUF_1M] + polling(0) + stuck(1, 0, 0) +
        ask(1, POST, 0, 0, [EVENT], cut=250) + upgrade(2, 0) + fan(0) + read(2) + read(1) + rest(1),
    'two-gets': [SOCKETIO, BUF_1M] + polling(0) + polling(1, who=1) + stuck(2, 0, 0, fan(0)) +
        ask(2, GET, 1) + fan(1) + abort(2) + turns(2) + ask(1, GET, 1) + read(1),
    'chain': [SOCKETIO, BUF_1M] + polling(0) + polling(1, who=1) + polling(2, who=2) +
        stuck(3, 0, 0) + stuck(4, 1, 1) + stuck(5, 2, 2) + ask(3, POST, 1, 0, [EVENT], 250) +
        ask(4, POST, 2, 0, [EVENT], 250) + ask(5, POST, 0, 0, [EVENT], 250) + upgrade(6, 0) + abort(3),
    'post-upgrade': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, POST, 0, 0, [EVENT], 200) +
        upgrade(2, 0) + fan(0) + rest(1) + read(2),
    'upgrade': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, GET) + conn(2) + ask(2, UPGRADE) +
        frame(2, PROBE) + read(1) + fan(0) + fan(0, 1) + frame(2, GO) + fan(0, 2) + read(2) +
        frame(2, EVENT) + close(2),
    'upgrade-waiting-get': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, GET) +
        ask(1, POST, 0, 0, [END]) + conn(2) + ask(2, UPGRADE) + frame(2, GO) + fan(0) + read(2),
    'upgrade-no-memory': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, GET) + conn(2) +
        ask(2, UPGRADE) + frame(2, PROBE, False) + turns(1) + nomem(0, 3) + frame(2, GO) + wait(MS10),
    'upgrade-fails': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, UPGRADE) + frame(1, HELLO) +
        fan(0) + conn(2) + ask(2, UPGRADE) + wait(S3) + conn(3) + ask(3, UPGRADE) + frame(3, PROBE) +
        abort(3) + ask(0, GET) + read(0),
    'eio3': [SOCKETIO, BUF_64K] + polling(0, OPEN3) + fan(0) + fan(0, 1) + fan(0, 2) +
        ask(0, GET) + read(0) + ask(0, POST, 0, 0, [PING, EVENT, BINARY]) + read(0) + ask(0, GET) +
        read(0) + upgrade(1, 0) + fan(0, 1) + read(1) + frame(1, PING) + special(1, 3),
    'eio3-base64': [SOCKETIO, BUF_64K] + polling(0, OPEN3, flags=BASE64) + fan(0, 1) + ask(0, GET) +
        read(0) + conn(1) + ask(1, UPGRADE, 0, BASE64) + fan(0, 1) + frame(1, GO) + fan(0, 2),
    'jsonp': [SOCKETIO, BUF_64K] + polling(0, OPEN4, flags=JSONP) + fan(0, 1) + fan(0) +
        ask(0, GET, 0, JSONP) + read(0) + ask(0, POST, 0, JSONP, [EVENT, BINARY, BYTES]) + read(0),
    'websocket': [SOCKETIO, BUF_64K] + websocket(0, how=0) + fan(0, 1) + frame(0, ACK) + read(0) +
        frame(0, BINARY) + special(0, 3) + special(0, 1, *EVENT) + special(0, 4) + frame(0, LEAVE) +
        frame(0, JOIN) + fan(0) + frame(0, MORE) + wait(S5) + frame(0, PONG) + wait(S5) +
        special(0, 5, 1) + read(0),
    'websocket3': [SOCKETIO, BUF_64K] + websocket(0, WS3) + frame(0, PING) + fan(0, 2) + read(0) +
        frame(0, BINARY) + special(0, 3) + wait(S5) + wait(S5) + special(0, 6),
    'slow-websocket': [SOCKETIO, BUF_64K] + websocket(0, how=2) + fan(0, 8, 4) + fan(0, 16) +
        read(0, 100) + fan(0, 4, 8) + wait(S1) + read(0, 100) + wait(S3),
    'lags': [SOCKETIO, BUF_64K] + websocket(0, how=2) + websocket(1) + others(-1, KERNEL_LAGS, 1) +
        (fan(ALL, 4) + fan(1)) * 4 + read(0) + others(-1, KERNEL_READS, 1) + fan(ALL, 4) * 2 +
        others(-1, KERNEL_FULL, 1) + fan(ALL, 20) * 2 + app(NAMES, 1) + read(1) + wait(S1),
    'copied': [SOCKETIO, BUF_1M] + websocket(0, how=2) + websocket(1) + polling(2, who=2) +
        polling(3, who=3) + fan(0, 8, 4) + turns(2) + (fan(0) + fan(2) + fan(1, 8, 8) + read(1) +
        fan(3, 8, 8) + ask(3, GET, 3) + read(3)) * 3 + turns(1, copies=1) + fan(0) +
        read(0, 50) + turns(1, copies=1) + read(0) + ask(2, GET, 2) + read(2),
    'full-websocket': [SOCKETIO, BUF_4K] + websocket(0, how=2) + websocket(1) + fan(ALL, 4) * 4 +
        turns(2) + read(0),
    'full-polling': [SOCKETIO, BUF_4K] + polling(0) + fan(0, 4, 4) + conn(1) + ask(1, GET) +
        fan(0, 8) + wait(MS10) + read(1),
    'no-reader': [SOCKETIO, BUF_1M] + polling(0) + fan(0) + wait(S3) + wait(S1) + polling(1, who=1) +
        stuck(2, 1, 1) + wait(S3) + wait(S1),
    'half-closed': [SOCKETIO, BUF_1M] + polling(0) + stuck(1, 0, 0) + ask(1, POST, 0, 0, [EVENT]) +
        ask(1, GET) + fan(0) + half(1) + read(1) + conn(2) + ask(2, OPEN4, turn=False) + half(2) +
        read(2),
    'cut': [SOCKETIO, BUF_64K] + conn(0, 0) + ask(0, OPEN4, cut=100) + rest(0) + read(0) +
        ask(0, POST, 0, CHUNKED | EXPECT, [JOIN], cut=252) + read(0) + rest(0) +
        ask(0, POST, 0, OLD, [EVENT]) + ask(0, GET, 0, CLOSE, cut=30) + wait(S5) + rest(0) + read(0) +
        conn(1) + ask(1, GET, 0, 0, cut=100) + wait(S11) + read(1),
    'overlap': [SOCKETIO, BUF_64K] + polling(0) + conn(1) + ask(1, GET) + conn(2) + ask(2, GET) +
        read(1) + read(2) + polling(3, who=1) + ask(3, POST, 1, 0, [EVENT], 240) + conn(4) +
        ask(4, POST, 1, 0, [EVENT]) + read(4),
    'piped-upgrade': [SOCKETIO, BUF_1M] + polling(0) + stuck(1, 0, 0) + ask(1, UPGRADE, 0) +
        frame(1, PROBE) + frame(1, GO) + read(1) + fan(0) + read(1),
    'others': [SOCKETIO | FILE | ORIGINS, BUF_64K] + conn(0) + sum((ask(0, kind, 0, ORIGIN)
        for kind in (OPTIONS, HEAD, SCRIPT, STATUS)), []) + ask(0, PUT) + read(0) + conn(1) +
        ask(1, ELSEWHERE) + polling(2) + conn(3) + ask(3, OCTETS, 0) + conn(4, 2) + ask(4, SCRIPT) +
        ask(4, SCRIPT) + ask(4, SCRIPT) + read(4, 50) + abort(4) + conn(5) + ask(5, LONG, 0) + abort(5),
    'handoff': [SOCKETIO, BUF_64K | RETIRE | READS] + polling(0) + others(1) + conn(1) +
        ask(1, GET, OTHER_SLOT) + turns(2) + others(0) + wait(MS100) + back(0, 1) + read(1) +
        others(-1) + conn(2) + ask(2, GET, OTHER_SLOT) + read(2),
    'retire': [SOCKETIO, BUF_64K | RETIRE | READS] + polling(0) + websocket(1) + websocket(2, WS3) +
        conn(3) + fan(ALL) + conn(4, 2),
    'retire-now': [SOCKETIO, BUF_1M | RETIRE_NOW] + polling(0) + websocket(1) + stuck(2, 0, 0) +
        fan(ALL) + conn(4) + ask(4, OPEN4, cut=100),
    'drain': [SOCKETIO, BUF_64K | DRAIN | READS] + polling(0) + websocket(1, how=2) + fan(1, 8) +
        websocket(2, WS3) + conn(3, 0) + ask(3, POST, 0, 0, [EVENT], 200),
    'limits': [SOCKETIO | LATER, BUF_64K | CONNS_2] + conn(0, 0) + conn(1, 0) + conn(2, 0) +
        turns(2) + ask(0, OPEN4) + ask(1, WS4) + ask(2, OPEN4) + frame(1, JOIN) + app(ACCEPT, 1) +
        reload(0) + turns(2) + read(2) + close(0) + reload(4),
    'strangers': [SOCKETIO | LATER, BUF_1M | CONNS_4] + conn(0) + ask(0, OPEN4) * 3 + read(0) +
        ask(0, POST, 1, 0, [JOIN]) + app(KNOWN, 1) + app(ACCEPT, 1) + conn(1) + ask(1, GET, 2) +
        conn(2) + ask(2, WS4) + frame(2, JOIN) + conn(3, 0) + conn(4, 0) + conn(5, 0) +
        app(ACCEPT, 3) + fan(ALL) + ask(4, WS3) + ask(5, GET, 1) + read(5) + reload(12) + read(2),
    'strangers-amid': [SOCKETIO, BUF_1M | CONNS_2] + conn(0) + ask(0, OPEN4) + read(0) + conn(1) +
        ask(1, UPGRADE, 0) + frame(1, PROBE) + conn(2) + ask(2, POST, 0, 0, [JOIN], 200) + conn(3) +
        ask(3, OPEN4) + rest(2) + frame(1, GO) + conn(4) + ask(4, OPEN3) * 6 + reload(8) + read(4),
    'turns-taken': [BALANCED, BUF_64K] + others(-1, fewer=1) + conn(0, 0) + conn(1, 0) + conn(2, 0) +
        wait(MS10) * 3 + others(-1, took=1, fewer=2) + conn(3, 0) + wait(MS10) * 3 + ask(0, OPEN4) +
        ask(1, WS4) + read(0),
    'no-more': [SOCKETIO, BUF_64K] + websocket(0, how=0) + app(NOBODY_MORE) + conn(1) +
        ask(1, OPEN4) + conn(2) + ask(2, WS4) + read(1) + read(2) + app(GUARD) + app(LISTENS_NOT) +
        conn(3, 0) + app(ACKED) + read(0),
    'refused': [SOCKETIO | NOBODY, BUF_64K] + websocket(0) + turns(2) + read(0) + polling(1, who=1) +
        wait(S1) + websocket(2, WS3) + frame(2, JOIN) + read(2),
    'expired': [SOCKETIO | NEXT, BUF_64K] + websocket(0) + app(EXPIRE, 0, 50) + fan(0) + wait(S1) +
        read(0) + polling(1, who=1) + app(DISCONNECT, 1) + ask(1, GET, 1) + read(1) +
        websocket(2) + frame(2, BYE) + app(SEND, 2) + app(FLUSH),
    'pings': [SOCKETIO, BUF_64K] + websocket(0) + polling(1, who=1) + wait(S5) + read(0) +
        frame(0, PONG) + ask(1, GET, 1) + read(1) + wait(S5) + conn(2) + ask(2, WS4) + wait(S5) +
        wait(S5) + read(2),
    'echo': [ECHO, BUF_64K] + websocket(0) + frame(0, HELLO) + special(0, 2, 3, 1, 2, 3) + read(0) +
        conn(1) + ask(1, OPEN3) + read(1) + ask(1, POST, 1, 0, [HELLO, BYTES3]) + ask(1, GET, 1) +
        read(1) + app(SEND, 1),
    # What has attachments and is wanted, or not, or in part; of one that leaves meanwhile.
    'acks': [WANTING, BUF_64K] + websocket(0) + fan(0, 1, 2) + frame(0, ACKS) +
        frame(0, BINARY_ACK) + special(0, 3) + frame(0, UNWANTED_ACK) + special(0, 3) +
        frame(0, BINARY_ACK2) + special(0, 3) + app(DISCONNECT) + special(0, 3) + read(0) +
        websocket(1, WS3) + fan(1, 1, 2) + frame(1, BINARY_ACK2) + special(1, 3) + abort(1) +
        polling(2, who=2) + fan(2, 1, 2) + ask(2, GET, 2) + read(2) +
        ask(2, POST, 2, 0, [BINARY_ACK, BYTES]) + read(2),
    # Clients that come back: with what they missed, by ids of others or their own; not recovered
    # after all; gone meanwhile; their pings.
    'recover': [WANTING | LATER, BUF_64K] + websocket(0) + recover() + fan(0) + app(NAMES) +
        frame(0, EVENT) + recover(0, 1) + read(0) + fan(0, 1, 2) + fan(ALL) + frame(0, EVENT) +
        recover() + app(NAMES) + fan(ALL) + read(0) + wait(S5) + read(0) + frame(0, PONG) +
        wait(MS10) + app(OFFSET, 0, 7) + wait(S5) + read(0) + polling(1, who=1) + recover(1) +
        recover(1, 0) + fan(1, 4, 2) + recover(1) + app(NAMES, 1) + fan(ALL, 2) +
        ask(1, GET, 1) + read(1) + app(DISCONNECT) + read(0),
    'recover-not': [WANTING | LATER, BUF_4K] + websocket(0) + recover() + app(ACCEPT) + fan(0) +
        read(0) + websocket(1) + recover(1) + app(REFUSE, 1) + read(1) + websocket(2) +
        recover(2) + frame(2, LEAVE) + frame(2, JOIN) + recover(2) + recover(2, 1) +
        fan(2, 8, 2) + frame(2, LEAVE) + frame(2, JOIN) + nomem(0, 1) + recover(2) +
        recover(2, 1) + abort(2) + websocket(3, WS3) + recover(3) + websocket(4) +
        recover(4) + recover(4, 1) + frame(4, JOIN) + read(4),
    'unwanted': [WANTING | ROOT, BUF_64K] + websocket(0) + frame(0, JOIN_ROOT) +
        frame(0, BINARY) + special(0, 3) + frame(0, EVENT) + conn(1) + ask(1, OPEN3) + read(1),
    'bytes': [SOCKETIO, BUF_64K] + conn(0) + text(0, b'GET /n/?EIO=4&transport=polling HTTP/1.1\r\n'
        b'Host: h\r\n\r\nGET /status HTTP/1.0\r\n\r\n') + read(0) + conn(1) + ask(1, WS4) +
        text(1, b'\x81\x80\0\0\0\0\x8a\x80\0\0\0\0') + special(1, 7) + read(1),
    # What the log has a line for.
    'hints': [SOCKETIO | ORIGINS, BUF_64K] + conn(0) + text(0, b'\x16\3\1\2\0\1') + conn(1) +
        text(1, b'PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n') + conn(2) +
        text(2, b'\r\n\r\n\0\r\nQUIT\n\x21\x11') + conn(3) +
        text(3, b'GET /n/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n\r\n') + read(3) +
        text(3, b'GET /n/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n'
             b'Origin: http://x\r\nSec-Fetch-Site: cross-site\r\n\r\n') + read(3) +
        text(3, b'GET /m/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n') + read(3),
    # Requests of several clients on one connection.
    'relayed': [SOCKETIO | ORIGINS, BUF_64K] + conn(0) +
        text(0, b'GET /n/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n'
             b'X-Forwarded-For: 192.0.2.1, junk\r\nX-Forwarded-Proto: https\r\n\r\n') + read(0) +
        text(0, b'GET /n/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n'
             b'X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n') + read(0) +
        text(0, b'GET /status HTTP/1.1\r\nHost: h\r\n\r\n') + read(0) + nomem(0, 1) +
        text(0, b'GET /status HTTP/1.1\r\nHost: h\r\nForwarded: for="[2001:db8::1]:1";proto=https\r\n'
             b'\r\n') + read(0) + conn(1) + nomem(0, 1) +
        text(1, b'GET /n/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n'
             b'X-Forwarded-For: 192.0.2.2\r\n\r\n') + read(1) + abort(0),
}

if __name__ == '__main__':
    directory = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus/engine')
    for name, program in SEEDS.items():
        with open(os.path.join(directory, name), 'wb') as out:
            out.write(bytes(program))
