'use strict';
/* Connections of clients, plain or by TLS: where is what net.connect takes, and .tls in it what
 * tls.connect takes on top ({ ca, servername, session, ... }); .greeting are bytes that come before
 * all else, a PROXY header. */
const net = require('net');
const tls = require('tls');

function dial(where, options = {}) {
    const { tls: how, greeting, ...address } = where;
    const tcp = net.connect({ ...address, ...options });
    if (greeting !== undefined) tcp.write(greeting);
    if (!how) return tcp;
    const socket = tls.connect({ ...options, host: address.host, ...how, socket: tcp });
    /* Node's own refuses whatever is not TCP. */
    socket.resetAndDestroy = () => tcp.destroyed || tcp.resetAndDestroy();
    return socket;
}

/* The beginning of a URL. */
function urlOf({ host, port, tls: how }) {
    const name = host.includes(':') ? `[${host}]` : host;
    return `${how ? 'https' : 'http'}://${name}:${port}`;
}

module.exports = { dial, urlOf };
