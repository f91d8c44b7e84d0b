#!/usr/bin/env python3
"""Strangers from many addresses, in a process of their own: a fifth each of sockets that never
speak, heads and bodies that never end, TLS hellos that stop in the middle, and sessions that
poll, for which no token ever comes.  One that is closed comes again.

argv[1]: JSON of { host, port, tls, namespaces: [...] or addresses: [...], each, again }: so
many of each namespace (a socket stays in that where it was made) or local address; seconds
until one comes again.  Says "flooding" when all have been there; USR2 has the counts printed,
TERM prints them and ends.  What is said is said by the loop, never in a handler."""
import ctypes
import errno
import heapq
import json
import os
import resource
import select
import signal
import socket
import ssl
import sys
import time

CLONE_NEWNET = 0x40000000
HANDSHAKE = b'GET /notifications/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n'
HEAD = b'GET /notifications/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n'
POST = ('POST /notifications/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n'
        'Content-Length: 100000\r\n\r\n4')
HELLO = bytes.fromhex('160301020001 0001fc0303')
KINDS = ('silent', 'head', 'body', 'hello', 'polling')

libc = ctypes.CDLL(None, use_errno=True)
options = json.loads(sys.argv[1])
counts = {'connected': 0, 'closed': 0, 'sessions': 0, 'refused': 0}
poll = select.epoll()
by_fd = {}
due = []
asked = []
context = None
if options['tls']:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def at(seconds, what):
    heapq.heappush(due, (time.monotonic() + seconds, id(what), what))


class Stranger:
    def __init__(self, number, where):
        self.kind = KINDS[number % len(KINDS)]
        self.where = where
        self.secure = context is not None and self.kind not in ('silent', 'hello')
        self.begin()

    def begin(self):
        self.state = 'connecting'
        self.text = b''
        try:
            self.socket = self.make()
        except OSError:
            at(options['again'], self.begin)
            return
        by_fd[self.socket.fileno()] = self
        poll.register(self.socket.fileno(), select.EPOLLOUT | select.EPOLLERR)

    def make(self):
        if isinstance(self.where, int) and libc.setns(self.where, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), 'setns')
        one = socket.socket()
        one.setblocking(False)
        if isinstance(self.where, str):
            one.bind((self.where, 0))
        if one.connect_ex((options['host'], options['port'])) not in (0, errno.EINPROGRESS):
            one.close()
            raise OSError('connect')
        return one

    def ready(self):
        try:
            if self.state == 'connecting':
                self.connected()
            elif self.state == 'handshake':
                self.shake()
            else:
                self.read()
        except (ssl.SSLWantReadError, BlockingIOError):
            self.wants(select.EPOLLIN)
        except ssl.SSLWantWriteError:
            self.wants(select.EPOLLOUT)
        except OSError:
            self.end()

    def wants(self, what):
        poll.modify(self.socket.fileno(), what)

    def connected(self):
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, 'connect')
        counts['connected'] += 1
        if not self.secure:
            self.open()
            return
        fd = self.socket.fileno()
        poll.unregister(fd)
        del by_fd[fd]
        self.socket = context.wrap_socket(self.socket, do_handshake_on_connect=False)
        by_fd[self.socket.fileno()] = self
        poll.register(self.socket.fileno(), select.EPOLLOUT)
        self.state = 'handshake'
        self.shake()

    def shake(self):
        self.socket.do_handshake()
        self.open()

    def open(self):
        self.state = 'open'
        self.wants(select.EPOLLIN)
        if self.kind == 'head':
            self.say(HEAD)
        elif self.kind == 'hello':
            self.say(HELLO)
        elif self.kind in ('body', 'polling'):
            self.say(HANDSHAKE)
        if self.kind in ('head', 'hello'):
            at(1, self.drip)

    def say(self, data):
        self.socket.send(data)

    def drip(self):
        """A little more each second."""
        if self.state != 'open':
            return
        try:
            self.say(b'X: x\r\n' if self.kind == 'head' else b'x')
            at(1, self.drip)
        except OSError:
            self.end()

    def read(self):
        data = self.socket.recv(4096)
        if not data:
            raise OSError('closed')
        self.text = (self.text + data)[-4096:]
        if b'"sid":"' in self.text and self.text.endswith(b'}'):
            counts['sessions'] += 1
            sid = self.text.split(b'"sid":"')[1].split(b'"')[0].decode()
            self.text = b''
            if self.kind == 'body':
                self.say((POST % sid).encode())
                at(1, self.drip)
            else:
                at(1, self.once_more)
        elif b'HTTP/1.1 4' in self.text or b'HTTP/1.1 5' in self.text:
            counts['refused'] += 1

    def once_more(self):
        if self.state != 'open':
            return
        try:
            self.say(HANDSHAKE)
        except OSError:
            self.end()

    def end(self):
        if self.state == 'over':
            return
        self.state = 'over'
        counts['closed'] += 1
        by_fd.pop(self.socket.fileno(), None)
        self.socket.close()
        at(options['again'], self.begin)


def turn():
    wait = max(0, min(0.1, due[0][0] - time.monotonic())) if due else 0.1
    for fd, _ in poll.poll(wait):
        if fd in by_fd:
            by_fd[fd].ready()
    now = time.monotonic()
    while due and due[0][0] <= now:
        heapq.heappop(due)[2]()
    while asked:
        what = asked.pop(0)
        print(what, json.dumps(counts), flush=True)
        if what == 'result':
            sys.exit(0)


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGUSR2, lambda *_: asked.append('counts'))
    signal.signal(signal.SIGTERM, lambda *_: asked.append('result'))
    names = options.get('namespaces')
    places = [os.open(f'/run/netns/{name}', os.O_RDONLY) for name in names] if names else options['addresses']
    total = len(places) * options['each']
    for number in range(total):
        # kinds are the same in each place
        Stranger(number // len(places), places[number % len(places)])
        if number % 50 == 49:
            turn()
    while counts['connected'] < total:
        turn()
    print('flooding', flush=True)
    while True:
        turn()


main()
