'use strict';
/* The ways in which a client is connected, with both revisions over each transport, for
 * tests of what holds over all of them.  A client is a Raw or a Polling: both have text(),
 * take(), event() and destroy(). */
const assert = require('assert');
const fs = require('fs');
const { Raw, joined } = require('./raw');
const { Polling, polled } = require('./http');
const { scrape, settled } = require('./metrics');
const { within, until } = require('./time');

const WAYS = {};
for (const eio of [4, 3]) {
    WAYS[`EIO${eio}, WebSocket`] = {
        eio, transport: 'websocket',
        open: (addr, how = {}) => Raw.open(addr, { ...how, eio }),
        joined: (addr, token, how = {}) => joined(addr, token, { ...how, eio }),
    };
    WAYS[`EIO${eio}, polling`] = {
        eio, transport: 'polling',
        open: (addr, how = {}) => Polling.open(addr, { keep: true, ...how, eio }),
        joined: (addr, token, how = {}) => polled(addr, token, { keep: true, ...how, eio }),
    };
}
const isRaw = (client) => client instanceof Raw;

/* Sends packets, each in a frame of its own or all in one POST. */
async function say(client, ...packets) {
    if (!isRaw(client)) return client.send(...packets);
    for (const packet of packets) client.sendText(packet);
}
const connectPacket = (client, token, nsp = '/axr') =>
    client.eio === 4 ? `40${nsp},${JSON.stringify(token === undefined ? {} : { token })}`
        : `40${nsp}${token === undefined ? '' : `?token=${token}`},`;

/* Its session is ended by the server, after whatever still comes for it. */
async function ended(client, ms = within(3000)) {
    if (isRaw(client)) {
        await client.end(ms);
        return;
    }
    await until(async () => (await client.get(ms)).status !== 200, ms, 'end of the session');
}

/* From now on what is sent to the client waits in its worker: resolves to how many
 * messages 'fill', with their numbers, that took.  A WebSocket has to be over a Unix
 * socket: of TCP nobody knows how much the kernels hold. */
const KERNEL_BYTES = 2 * Number(fs.readFileSync('/proc/sys/net/core/wmem_default', 'latin1'));
const FILLER = 'x'.repeat(1 << 16);
async function blocked(redis, daemon, client, uid) {
    const count = isRaw(client) ? 2 + Math.ceil((2 * KERNEL_BYTES) / FILLER.length) : 1;
    const before = (await scrape(daemon)).get('deliveries_total');
    if (isRaw(client)) client.socket.pause();
    for (let i = 0; i < count; i++) redis.emitter().to(uid).emit('fill', i, FILLER);
    await settled(daemon, (now) => now.get('deliveries_total') >= before + count, 'messages that wait');
    return count;
}

module.exports = { WAYS, isRaw, say, connectPacket, ended, blocked };
