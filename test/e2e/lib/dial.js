'use strict';
/* Connections of clients, plain or by TLS: where is what net.connect takes, and .tls in it what
 * tls.connect takes on top ({ ca, servername, session, ... }). */
const net = require('net');
const tls = require('tls');

function dial(where, options = {}) {
    const { tls: how, ...address } = where;
    if (!how) return net.connect({ ...address, ...options });
    const tcp = net.connect({ ...address, ...options });
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
