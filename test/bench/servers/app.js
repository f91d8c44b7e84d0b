'use strict';
/* What a service written with socket.io does where axr-notifyd is used: clients with a
 * good HS256 token are in `allusers` and in a room of their own, and hear what
 * comes through redis.  For Node and for Bun. */
const crypto = require('crypto');
const { createClient } = require('redis');
const { createAdapter } = require('@socket.io/redis-adapter');

const PING_MS = 120000; /* as for the daemon: no heartbeat while it is measured */

function userOf(token, secret) {
    const [head, claims, mac] = String(token).split('.');
    const good = crypto.createHmac('sha256', secret).update(`${head}.${claims}`).digest();
    const given = Buffer.from(mac || '', 'base64url');
    if (given.length !== good.length || !crypto.timingSafeEqual(given, good)) return undefined;
    const { profile, exp } = JSON.parse(Buffer.from(claims, 'base64url'));
    return exp > Date.now() / 1000 ? profile.uid : undefined;
}

/* PORT REDIS_PORT KEY SECRET of the command line. */
function options() {
    const [port, redis, key, secret] = process.argv.slice(2);
    return {
        port: Number(port), redis: Number(redis), key, secret,
        engine: { path: '/notifications/', pingInterval: PING_MS, pingTimeout: PING_MS },
    };
}

async function attach(io, { redis, key, secret }) {
    const pub = createClient({ socket: { host: '127.0.0.1', port: redis } });
    const sub = pub.duplicate();
    await Promise.all([pub.connect(), sub.connect()]);
    io.adapter(createAdapter(pub, sub, { key }));
    authorize(io.of('/axr'), secret);
}

function authorize(nsp, secret) {
    nsp.use((socket, next) => {
        const uid = userOf(socket.handshake.auth.token, secret);
        if (uid === undefined) return next(new Error('unauthorized'));
        socket.join(['allusers', uid]);
        next();
    });
}

module.exports = { attach, authorize, options };
