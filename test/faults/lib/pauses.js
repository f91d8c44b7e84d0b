'use strict';
/* For how long the master and a worker answer nobody: each is asked again and again, and
 * the longest answer counts. */
const { once } = require('../../e2e/lib/http');
const { adminOf } = require('../../e2e/lib/metrics');
const { joined } = require('../../e2e/lib/raw');

/* Runs ask over and over until done() is true; the longest time that it took. */
async function longest(ask, done) {
    let most = 0;
    while (!done()) {
        const began = performance.now();
        await ask();
        most = Math.max(most, performance.now() - began);
    }
    return most;
}

/* A client of the old protocol, whose pings the worker answers, and who hears what comes. */
async function pinger(t, daemon) {
    const client = await joined(daemon.addr, daemon.token('pings'), { eio: 3 });
    t.after(() => client.destroy());
    client.onFrame = (frame) => frame.text === '3' && (client.onPong(), true);
    const over = client.closed.then((how) => { throw new Error(`closed: ${JSON.stringify(how)}`); });
    over.catch(() => {}); /* who waits for a pong hears */
    client.ping = () => {
        const pong = new Promise((resolve) => (client.onPong = resolve));
        client.sendText('2');
        return Promise.race([pong, over]);
    };
    return client;
}

/* Resolves to { master, worker } in ms, of the time in which fn(client) runs. */
async function pauses(t, daemon, fn) {
    const admin = await adminOf(daemon);
    const client = await pinger(t, daemon);
    let isOver = false;
    const ask = () => once(admin, 'GET', '/health');
    const asked = [longest(ask, () => isOver), longest(client.ping, () => isOver)];
    await fn(client).finally(() => (isOver = true));
    const [master, worker] = await Promise.all(asked);
    client.destroy();
    return { master, worker };
}

module.exports = { pauses };
