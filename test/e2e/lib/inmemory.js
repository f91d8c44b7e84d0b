'use strict';
/* A Node server that recovers connections, out of its own memory: what comes from redis it
 * says to its own clients.
 *
 *     node inmemory.js '{"redis":PORT,"secret":"...","nsp":"/axr","path":"/notifications"}' */
const { uidOf } = require('./reference');

async function serve({ redis, secret, nsp, path, ...options }) {
    const { createServer } = require('http');
    const { createClient } = require('redis');
    const { Server } = require('socket.io');
    const notepack = require('notepack.io');
    const http = createServer();
    const io = new Server(http, { path, connectionStateRecovery: { skipMiddlewares: false }, ...options });
    const space = io.of(nsp);
    space.use((socket, next) => {
        const uid = uidOf(socket.handshake.auth.token, secret);
        if (!uid) return next(new Error('not authorized'));
        socket.join(['allusers', uid]);
        return next();
    });
    const sub = createClient({ socket: { port: redis, host: '127.0.0.1' } });
    sub.on('error', () => process.exit(1));
    await sub.connect();
    await sub.pSubscribe(`socket.io#${nsp}#*`, (payload) => {
        const [, packet, { rooms, except, flags }] = notepack.decode(payload);
        space.adapter.broadcast(packet, { rooms: new Set(rooms), except: new Set(except), flags });
    }, true);
    http.listen(0, '127.0.0.1', () => console.log(`server ready ${http.address().port}`));
}

class InMemory {
    static async start(context, options) {
        const { Process } = require('./proc');
        const { within } = require('./time');
        const server = new Process(process.execPath, [__filename, JSON.stringify(options)]);
        context.show(server);
        context.after(() => {
            server.signal('SIGTERM');
            return server.ended(within(2000));
        });
        const [, port] = await server.line(/server ready (\d+)/, within(10000));
        return { addr: { host: '127.0.0.1', port: Number(port) } };
    }
}

if (require.main === module) serve(JSON.parse(process.argv[2]));
module.exports = { InMemory };
