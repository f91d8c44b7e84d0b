"""A client of python-socketio: client.py URL PATH NAMESPACE TOKEN TRANSPORTS async|sync AUTH

AUTH is what goes with the token, in JSON.

Prints "connected TRANSPORT", then a line of JSON for each event.  async: up to "end";
sync: until killed, in any order, for each event has a thread of its own there."""
import asyncio
import json
import sys

import socketio

url, path, nsp, token, transports, kind, more = sys.argv[1:]
how = {
    'namespaces': [nsp], 'socketio_path': path, 'auth': {'token': token, **json.loads(more)},
    'transports': transports.split(',') if transports else None,
}
EVENTS = ['text', 'bin', 'end']


def say(*words):
    sys.stdout.write(' '.join(map(str, words)) + '\n')
    sys.stdout.flush()


def plain(value):
    return {'bytes': value.hex()} if isinstance(value, bytes) else value


def report(name, args):
    say('event', json.dumps([name] + [plain(arg) for arg in args]))


def run_sync():
    client = socketio.Client(reconnection=False)
    for name in EVENTS:
        def handler(*args, name=name):
            report(name, args)
        client.on(name, handler, namespace=nsp)
    client.on('connect_error', lambda *why: say('refused', *why), namespace=nsp)
    client.connect(url, **how)
    say('connected', client.transport())
    client.wait()


async def run_async():
    client = socketio.AsyncClient(reconnection=False)
    closing = []
    for name in EVENTS:
        async def handler(*args, name=name):
            report(name, args)
            if name == 'end':
                closing.append(name)
                await client.disconnect()
        client.on(name, handler, namespace=nsp)
    client.on('connect_error', lambda *why: say('refused', *why), namespace=nsp)
    await client.connect(url, **how)
    say('connected', client.transport())
    try:
        await client.wait()
    except AttributeError:
        # Its polling may begin one more request with what its disconnect() has closed.
        if not closing:
            raise


if kind == 'async':
    asyncio.run(run_async())
else:
    run_sync()
