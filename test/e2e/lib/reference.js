'use strict';
/* The Node server whose place the daemon takes: socket.io with the redis
 * adapter and a middleware that checks the token.
 *
 *     node reference.js '{"redis":PORT,"secret":"...","nsp":"/axr","path":"/notifications"}'
 *
 * prints "reference ready PORT" when clients can connect; Reference.start()
 * runs it in a process of its own. */
const crypto = require('crypto');

function uidOf(token, secret) {
    const [head, body, mac] = String(token).split('.');
    const good = crypto.createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url');
    if (mac !== good) return undefined;
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
    return claims.uid || claims.sub;
}

async function serve({ redis, secret, nsp, path, ...options }) {
    const { createServer } = require('http');
    const { createClient } = require('redis');
    const { Server } = require('socket.io');
    const { createAdapter } = require('@socket.io/redis-adapter');
    const pub = createClient({ socket: { port: redis, host: '127.0.0.1' } });
    const sub = pub.duplicate();
    for (const client of [pub, sub]) {
        client.on('error', () => process.exit(1));
        await client.connect();
    }
    const http = createServer();
    const io = new Server(http, { path, allowEIO3: true, adapter: createAdapter(pub, sub), ...options });
    io.of(nsp).use((socket, next) => {
        const { auth, query } = socket.handshake;
        const uid = uidOf(auth.token || query.token, secret);
        if (!uid) return next(new Error('not authorized'));
        socket.join(['allusers', uid]);
        return next();
    });
    http.listen(0, '127.0.0.1', () => console.log(`reference ready ${http.address().port}`));
}

class Reference {
    static async start(context, options) {
        const { Process } = require('./proc');
        const { within } = require('./time');
        const server = new Process(process.execPath, [__filename, JSON.stringify(options)]);
        context.show(server);
        context.after(() => {
            server.signal('SIGTERM');
            return server.ended(within(2000));
        });
        const match = await server.line(/reference ready (\d+)/, within(10000));
        return { host: '127.0.0.1', port: Number(match[1]), process: server };
    }
}

if (require.main === module) serve(JSON.parse(process.argv[2]));
module.exports = { Reference, uidOf };
