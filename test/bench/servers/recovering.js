'use strict';
/* recovering.js PORT REDIS_PORT KEY SECRET: socket.io on Node with connection state recovery, which
 * needs its in-memory adapter: so what comes through redis is handed to that here.  Prints
 * "ready PORT". */
const http = require('http');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const notepack = require('notepack.io');
const { authorize, options } = require('./app');

async function serve(ready) {
    const { engine, port, redis, key, secret } = options();
    const server = http.createServer();
    const io = new Server(server, { ...engine, connectionStateRecovery: { maxDisconnectionDuration: 120000 } });
    const sub = createClient({ socket: { host: '127.0.0.1', port: redis } });
    const nsp = io.of('/axr');
    authorize(nsp, secret);
    await sub.connect();
    await sub.pSubscribe(`${key}#/axr#*`, (message) => {
        const [, packet, opts] = notepack.decode(message);
        nsp.adapter.broadcast({ ...packet, nsp: '/axr' }, { rooms: new Set(opts.rooms), except: new Set(opts.except || []), flags: opts.flags || {} });
    }, true);
    server.listen(port, '127.0.0.1', 4096, () => ready(server.address().port));
}

serve((port) => console.log(`ready ${port}`));
