'use strict';
/* Clients that are in, and messages for them. */
const assert = require('assert');
const { heardArgs } = require('./hear');
const { joined } = require('./raw');
const { elapse } = require('./time');

async function crowd(t, daemon, count, uid = 'u') {
    const clients = [];
    for (let i = 0; i < count; i++) clients.push(await joined(daemon.addr, daemon.token(uid), { eio: 3 + (i & 1) }));
    t.after(() => clients.forEach((client) => client.destroy()));
    return clients;
}

/* A client comes, hears what is published to its user, and goes. */
async function serves(redis, daemon) {
    const client = await joined(daemon.addr, daemon.token('u'));
    redis.emitter().to('u').emit('msg', 'served');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['served']]);
    client.destroy();
}

/* Publishes numbers to everyone, every ms, until stopped: stop() resolves to how many. */
function publisher(redis) {
    let seq = 0;
    const timer = setInterval(() => redis.emitter().emit('seq', seq++), 1);
    return {
        stop: async () => {
            clearInterval(timer);
            await redis.flush();
            return seq;
        },
    };
}
const isSequence = (numbers, from = numbers[0] || 0) => numbers.every((one, index) => one === from + index);
const numbersOf = (frames) => frames.map((one) => JSON.parse(/\[.*/.exec(one.text)[0])[1]);

/* Resolves once a message that is published now arrives; returns the ms it took. */
async function deliversAgain(redis, client, ms, nsp) {
    const began = Date.now();
    let over = false;
    const found = client.take(ms).finally(() => (over = true));
    const ask = async () => {
        while (!over) {
            redis.emitter(nsp).emit('msg', 'again');
            await redis.flush().catch(() => {});
            await elapse(5); /* else this loop is the load */
        }
    };
    await Promise.all([found, ask()]);
    return Date.now() - began;
}

module.exports = { crowd, serves, publisher, isSequence, numbersOf, deliversAgain };
