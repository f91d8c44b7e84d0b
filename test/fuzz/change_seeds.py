#!/usr/bin/env python3
"""Writes the messages of test/fuzz/corpus/change: the live settings in the order of
src/ipc/change.c, and some that are wrong in one of them.  test_change says when they
have to be written again.

usage: test/fuzz/change_seeds.py [DIRECTORY]
"""
import os
import struct
import sys

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus')


def number(value):
    return struct.pack('<Q', value)


def data(text):
    return struct.pack('<I', len(text)) + text


def text(value):
    return b'\0' + data(b'') if value is None else b'\1' + data(value)


def texts(values):
    items = values or []
    return bytes([values is not None]) + struct.pack('<I', len(items)) + b''.join(map(data, items))


def networks(unix_too, *items):
    return bytes([unix_too]) + data(b''.join(ip + bytes([bits]) for ip, bits in items))


def certificates(pairs):
    return struct.pack('<I', len(pairs)) + b''.join(data(pem) for pair in pairs for pem in pair)


def settings(**given):
    """By their keys, of which those in given are other ones; in the order on the pipe."""
    fields = {
        'level': number(2), 'target': number(3), 'file': text(b'/l'), 'format': number(1),
        'keys': text(None), 'algorithms': number(56),
        'audience': texts(None), 'issuer': texts([b'issuer']), 'types': texts([b'JWT', b'at+jwt']),
        'clockTolerance': number(5), 'roomsClaim': text(b'rooms'),
        'origins': texts([b'https://a.example', b'*']), 'credentials': number(1),
        'proxies': networks(0, (bytes([10] + [0] * 15), 8)), 'proxyHeader': number(0),
        'connectTimeout': number(45000), 'upgradeTimeout': number(10000),
        'connections': number(1000), 'strangers': number(250), 'perAddress': number(50),
        'roomsPerClient': number(1000),
        'headerBytes': number(16384), 'headers': number(100), 'tokenBytes': number(8192),
        'sendBuffer': number(1 << 20), 'sendTimeout': number(10000), 'idleTimeout': number(65000),
        'certificates': certificates([]), 'minVersion': number(0x303), 'ciphers': text(None),
        'cipherSuites': text(None),
    }
    assert set(given) <= set(fields)
    fields.update(given)
    return b''.join(fields.values())


def keys(name):
    """Those of a seed of fuzz_keys."""
    with open(os.path.join(CORPUS, 'keys', name), 'rb') as file:
        return text(file.read())


zeros = {key: number(0) for key in (
    'level', 'target', 'format', 'algorithms', 'clockTolerance', 'credentials', 'proxyHeader',
    'connectTimeout', 'upgradeTimeout', 'connections', 'strangers', 'perAddress', 'roomsPerClient',
    'headerBytes', 'headers',
    'tokenBytes', 'sendBuffer', 'sendTimeout', 'idleTimeout', 'minVersion')}
none = texts(None)
one = bytes([0] * 15 + [1])

SEEDS = {
    'secret': settings(keys=keys('secret')),
    'rsa': settings(keys=keys('rsa')),
    'p256': settings(keys=keys('p256'), algorithms=number(0x1c0), audience=texts([b'a', b''])),
    'proxies': settings(proxies=networks(1, (one, 128), (bytes(16), 0)), proxyHeader=number(2)),
    'zero': settings(proxies=networks(0), file=text(None), issuer=none, types=none, origins=texts([]), **zeros),
    'certificates': settings(certificates=certificates([(b'chain', b'key'), (b'another', b'key')]),
                             minVersion=number(0x304), ciphers=text(b'HIGH'),
                             cipherSuites=text(b'TLS_AES_128_GCM_SHA256')),
    'bad-certificates': settings(certificates=certificates([(b'chain', b'')])),
    'bad-certificates-many': settings(certificates=struct.pack('<I', 65)),
    'bad-version': settings(minVersion=number(0x305)),
    'bad-level': settings(level=number(9)),
    'bad-file': settings(file=text(None)),
    'bad-algs': settings(algorithms=number(1 << 20)),
    'bad-nul': settings(issuer=texts([b'is\0uer'])),
    'bad-origins': settings(origins=none),
    'bad-network': settings(proxies=networks(0, (one, 127))),
    'bad-networks': settings(proxies=b'\0' + data(one)),
    'bad-unix': settings(proxies=networks(2)),
    'bad-leftover': settings(keys=keys('secret')) + b'\0',
}

directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(CORPUS, 'change')
os.makedirs(directory, exist_ok=True)
for name, seed in SEEDS.items():
    with open(os.path.join(directory, name), 'wb') as file:
        file.write(seed)
