'use strict';
/* A flood of strangers from many addresses, while users stay and others come. */
const assert = require('assert');
const { redisServer } = require('./table');
const { Stream } = require('./stream');
const { Light } = require('./light');
const { Strangers } = require('./strangers');
const { Daemon } = require('../../e2e/lib/daemon');
const { authority, LOCAL } = require('../../e2e/lib/certificates');
const { askJson, scrape } = require('../../e2e/lib/metrics');
const { tempDir } = require('../../e2e/lib/proc');
const { within, deadline, until, elapse } = require('../../e2e/lib/time');

const KINDS = ['socket', 'polling', 'websocket'];
const FROM = 200; /* addresses of users */
const AT_ONCE = 20;
const TRIES = 3; /* as a client comes back that was not let in */

/* count users, from addresses of their own: how long each took, and how many had to try again. */
async function come(t, where, daemon, count) {
    const took = [];
    let again = 0;
    let next = 0;
    const one = async (number, tries) => {
        const localAddress = `127.0.3.${(number % FROM) + 1}`;
        const client = new Light({ ...where, localAddress }, daemon.token(`new ${number}`));
        t.after(() => client.destroy());
        const isIn = await deadline(client.ready, within(10000), 'a user that comes').then(() => true, (error) => {
            if (tries === 1) throw error;
        });
        if (isIn) return client.began;
        again++;
        await one(number, tries - 1);
        return client.began;
    };
    const some = async () => {
        while (next < count) {
            const began = await one(next++, TRIES);
            took.push(Date.now() - began);
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, some));
    return { took: took.sort((a, b) => a - b), again };
}

/* secure: over TLS.  net: where they come from (namespaces()), or null: from loopback addresses.
 * users: so many are there, and so many more come. */
async function byAddress(t, { secure, net, addresses, each, users, rate }) {
    const redis = await redisServer();
    const host = net ? net.host : '127.0.0.1';
    const cert = secure && authority().issue({ names: LOCAL });
    const daemon = await Daemon.start(t, {
        redis,
        config: {
            workers: 2, log: { level: 'info' }, port: undefined, host: undefined, listen: ['127.0.0.1:0', `${host}:0`],
            limits: { strangers: (addresses * each) / 5 }, ...(cert ? { tls: cert.write(tempDir(t)) } : {}),
        },
    });
    const [addr, reached] = daemon.addrs;
    const where = cert ? { ...addr, tls: { ca: cert.root, servername: 'localhost' } } : addr;
    daemon.addr = where;
    const stream = await Stream.start(t, daemon, redis, { count: users, rate });
    await elapse(3000);
    const quietly = await stream.phase();
    const from = net ? { namespaces: net.names } : { addresses: Array.from({ length: addresses }, (_, i) => `127.0.2.${i + 1}`) };
    const flood = await Strangers.start(t, { host: reached.host, port: reached.port, tls: secure, each, again: secure ? 5 : 2, ...from });
    await elapse(2000); /* the first come again */
    await stream.phase();
    const { took, again } = await come(t, where, daemon, users);
    const counts = await flood.counts();
    const during = await stream.phase();
    const metrics = await scrape(daemon);
    const full = metrics.get('strangers_limit');
    const now = KINDS.reduce((sum, kind) => sum + metrics.get('strangers', `kind="${kind}"`), 0);
    const evicted = KINDS.reduce((sum, kind) => sum + metrics.get('strangers_evicted_total', `kind="${kind}"`), 0);
    const { addresses: worst } = await askJson(daemon, '/status');
    t.note(`${secure ? 'TLS' : 'plain'}: ${counts.connected} connections of ${addresses} ${net ? 'namespaces' : 'loopback addresses'}, ${counts.sessions} sessions, ${evicted} evicted`);
    t.note(`${users} users stay: p99 ${during.p99.toFixed(1)} ms (before the flood ${quietly.p99.toFixed(1)})`);
    t.note(`${took.length} more come: p99 ${took[Math.floor(took.length * 0.99)]} ms, at most ${took[took.length - 1]}`);
    t.judged('of these tried again', (100 * again) / users, 1, '%');
    assert.ok(evicted > 0 && now <= full * 1.05, `${now} of ${full}, ${evicted} evicted`);
    assert.strictEqual(metrics.get('clients'), 2 * users);
    assert.strictEqual(worst.length, 10);
    assert.ok(worst.every(({ address, strangers }) => address.startsWith(net ? '198.18.' : '127.0.2.') && strangers > 0), JSON.stringify(worst));
    assert.match(daemon.log, /limits:strangers reached: .*; for each that comes the oldest is closed, of the address that has most: strangers=\d+ address=\d/);
    await flood.stop();
    const result = await stream.stop();
    assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
    await until(async () => (await scrape(daemon)).get('strangers', 'kind="socket"') < full / 10, within(15000), 'the flood is over');
}

module.exports = { byAddress };
