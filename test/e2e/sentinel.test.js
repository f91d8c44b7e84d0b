'use strict';
/* Redis behind sentinels: a new master is followed within a second, by an event, by a lost
 * connection and where the old one goes on answering; and what is lost is a gap. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { HASTY, Sentinels, Sentinel, FakeSentinel, Stream, Numbers, NAME } = require('./lib/sentinels');
const { authority, LOCAL } = require('./lib/certificates');
const { Daemon, ROOT } = require('./lib/daemon');
const { connect } = require('./lib/clients');
const { heardArgs } = require('./lib/hear');
const { joined } = require('./lib/raw');
const { reload } = require('./lib/reload');
const { askJson, scrape, settled } = require('./lib/metrics');
const { within, until } = require('./lib/time');

const FOLLOWED_MS = 1000; /* from the switch to the first message */

const places = (ports) => ports.map((port) => `127.0.0.1:${port}`);
const settings = (ports, more = {}) => ({ redis: { host: undefined, port: undefined, sentinels: places(ports), ...more } });
const daemonOf = (t, ports, { redis, io, ...more } = {}) =>
    Daemon.start(t, { config: { workers: 1, 'socket.io': { ...settings(ports, redis), ...io } }, ...more });
async function member(t, daemon) {
    const one = await joined(daemon.addr, daemon.token('u'));
    t.after(() => one.destroy());
    return one;
}
const sentinelsOf = async (daemon) => (await askJson(daemon, '/status')).redis.sentinels;
const gapsOf = async (daemon) => (await scrape(daemon)).get('redis_gaps_total');
const world = shared((s) => Sentinels.start(s));

/* --- real ones --- */

/* One sentinel is good, one is down and one is behind, as the daemon sees them. */
async function sight(t, all, from) {
    const behind = await FakeSentinel.start(t, from, 0);
    return { behind, ports: [behind.port, await freePort(), all.ports[0]] };
}

/* The stream goes to the new master as soon as the sentinels tell of it. */
async function follow(t, stream, told) {
    const event = await told;
    stream.goTo(event.to, await event.to.connect());
    return event;
}

async function failOver(t, { how, notifies }) {
    const all = await world();
    await all.agreed();
    const from = await all.master();
    const { behind, ports } = await sight(t, all, from);
    const daemon = await daemonOf(t, ports);
    assert.strictEqual(daemon.redisState, 'subscribed');
    const numbers = new Numbers(await member(t, daemon));
    const stream = new Stream(t);
    stream.goTo(from, await from.connect());
    await until(() => numbers.got.length > 3, within(2000), 'numbers of the first master');

    const { told } = await all.switched(t);
    const gaps = await gapsOf(daemon);
    await how(all, from);
    const { at, to } = await follow(t, stream, told);
    const first = await numbers.after(stream, to, at, within(FOLLOWED_MS));
    assert.ok(first.at - at < within(FOLLOWED_MS), `${first.at - at} ms after the switch`);

    /* All of the new master from the first on, nothing twice, nothing out of order. */
    const end = stream.next;
    await until(() => numbers.order.at(-1) >= end + 20, within(2000), 'more numbers');
    const order = numbers.order;
    assert.deepStrictEqual(order, [...new Set(order)].sort((a, b) => a - b));
    const since = order.slice(order.indexOf(first.number));
    assert.deepStrictEqual(since, Array.from(since, (_, i) => first.number + i));

    assert.strictEqual(await gapsOf(daemon), gaps + 1, 'the gap is counted');
    const status = await sentinelsOf(daemon);
    assert.deepStrictEqual(status, { name: NAME, master: `127.0.0.1:${to.port}`, configured: 3, answering: 2, switches: 1 });
    assert.match(daemon.log, new RegExp(`the master ${NAME} is at 127\\.0\\.0\\.1:${to.port} in place of 127\\.0\\.0\\.1:${from.port}`));
    assert.match(daemon.log, /redis subscribed again after \d+ ms/);
    assert.ok(behind.asked > 1 && behind.server === from);
    if (notifies) {
        const said = await daemon.notify(['number', '0']);
        assert.deepStrictEqual([said.code, said.out, said.err], [0, '1 subscriber\n', '']);
        await until(() => numbers.order.includes(0), within(2000), 'what axr-notify has sent');
    }
    return { all, daemon, from, to, numbers };
}

test('SENTINEL FAILOVER, with a sentinel down and one behind: the new master within a second, and the old one is left that goes on answering', async (t) => {
    const { daemon, from } = await failOver(t, {
        how: (all) => all.sentinels[0].client.sendCommand(['SENTINEL', 'FAILOVER', NAME]), notifies: true,
    });
    assert.strictEqual((await from.client.sendCommand(['ROLE']))[0], 'master', 'the old one still says so');
    const ours = await Promise.all([...from.clients].map((client) => client.sendCommand(['CLIENT', 'ID'])));
    const others = String(await from.client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'normal'])).concat(await from.client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'pubsub']))
        .trim().split('\n').filter((line) => !/ name=sentinel-/.test(line) && !ours.includes(Number(/id=(\d+)/.exec(line)[1])));
    assert.deepStrictEqual(others, [], 'no connection of the daemon is there');
    assert.match(daemon.log, /redis lost: the master is at/);
});

test('kill -9 of the master, likewise', async (t) => {
    const { from } = await failOver(t, {
        how: (all, master) => {
            master.killed = true;
            master.process.signal('SIGKILL');
        },
    });
    assert.ok(from.process.how || from.killed);
});

test('a sentinel that was stopped and comes back says nothing that counts', async (t) => {
    const first = await Redis.start(t);
    const second = await Redis.start(t);
    const fakes = [await FakeSentinel.start(t, first), await FakeSentinel.start(t, first), await FakeSentinel.start(t, first)];
    const daemon = await daemonOf(t, fakes.map(({ port }) => port));
    const one = await member(t, daemon);
    fakes[0].isMute = true;
    fakes[1].name(second, 1);
    await daemon.logged(/redis subscribed again/, within(1000));
    fakes[2].stop();
    await until(async () => (await sentinelsOf(daemon)).answering === 1, within(3000), 'one that answers');
    fakes[0].isMute = false; /* it knows of nothing */
    await until(async () => (await sentinelsOf(daemon)).answering === 2, within(4000), 'the one that was stopped');
    assert.deepStrictEqual(await heardArgs(second, [one]), [[]]);
    assert.strictEqual((await sentinelsOf(daemon)).master, `127.0.0.1:${second.port}`);
    assert.strictEqual(await gapsOf(daemon), 1);
});

/* --- the master and what it says --- */

test('a master that becomes a replica, of which no sentinel tells, is left within a second though it answers', async (t) => {
    const first = await Redis.start(t);
    const second = await Redis.start(t, { args: HASTY });
    const fake = await FakeSentinel.start(t, first);
    const daemon = await daemonOf(t, [fake.port]);
    const one = await member(t, daemon);
    await first.client.sendCommand(['REPLICAOF', '127.0.0.1', String(second.port)]);
    await daemon.logged(/redis lost: 127\.0\.0\.1:\d+: it is a replica of 127\.0\.0\.1:\d+; retrying/, within(1000));
    await daemon.logged(/another attempt has failed: 127\.0\.0\.1:\d+: it is a replica/, within(1500));
    assert.strictEqual((await sentinelsOf(daemon)).master, null);
    assert.strictEqual((await first.subscriptions()).patterns, 0);
    fake.name(second, 1);
    await daemon.logged(/redis subscribed again/, within(1000));
    assert.deepStrictEqual(await heardArgs(second, [one]), [[]]);
    assert.strictEqual(await gapsOf(daemon), 1);
});

test('who was there before a failover does not recover across it, who came after does', async (t) => {
    const first = await Redis.start(t);
    const second = await Redis.start(t);
    const fake = await FakeSentinel.start(t, first);
    const daemon = await daemonOf(t, [fake.port], { io: { connectionStateRecovery: true } });
    const client = keep(t, Object.assign(await connect(4.6, daemon.addr, { token: daemon.token('u'), options: { reconnection: true, reconnectionDelay: 10 } }), { destroy: () => client.close() }));
    const again = async () => {
        const before = client.notes.filter(({ what }) => what === 'connect').length;
        client.socket.io.engine.close();
        await client.when(() => client.notes.filter(({ what }) => what === 'connect').length > before, within(3000), 'the next connection');
        return client.socket.recovered;
    };
    const deliver = async (redis, text) => {
        redis.emitter().emit('msg', text);
        await client.when(() => client.events.some(([, arg]) => arg === text), within(2000), text);
    };
    await deliver(first, 'before');
    assert.strictEqual(await again(), true, 'at one master');
    await deliver(first, 'again');
    fake.name(second, 1);
    await daemon.logged(/redis subscribed again/, within(1000));
    assert.strictEqual(await again(), false, 'across the failover');
    await deliver(second, 'after');
    assert.strictEqual(await again(), true, 'at the new master');
});

/* --- what is configured --- */

/* The user of the sentinels that the manual gives, with that password. */
function rights() {
    const manual = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.conf.5'), 'utf8');
    const [, text] = /ACL SETUSER (watcher [^]*?)\n\.Ed/.exec(manual);
    return text.replace(/\\e\n/g, ' ').replace(/'/g, '').replace('>password', '>hush').replace(/\s+/g, ' ');
}

test('sentinels with a password, the rights of the manual and TLS; axr-notify, too', async (t) => {
    const redis = await Redis.start(t, { args: ['--requirepass', 'sesame'], auth: { password: 'sesame' } });
    const authority_ = authority('authority of the sentinels');
    const certificate = authority_.issue({ names: LOCAL });
    const dir = fs.mkdtempSync(path.join(redis.dir, 'sentinel-'));
    const files = certificate.write(dir);
    fs.writeFileSync(path.join(dir, 'ca.pem'), certificate.root);
    const port = await freePort();
    const sentinel = await Sentinel.start(t, {
        master: redis, replicas: [], more: [
            `sentinel auth-pass ${NAME} sesame`, `tls-port ${port}`, `tls-cert-file ${files.certFile}`, `tls-key-file ${files.keyFile}`,
            `tls-ca-cert-file ${path.join(dir, 'ca.pem')}`, 'tls-auth-clients no',
            'user default off', `user ${rights()}`,
        ],
    });
    await sentinel.launch([]);
    const good = { password: 'sesame', sentinelUsername: 'watcher', sentinelPassword: 'hush', sentinelTLS: { caFile: path.join(dir, 'ca.pem') } };
    const daemon = await daemonOf(t, [port], { redis: good });
    assert.strictEqual(daemon.redisState, 'subscribed');
    const one = await member(t, daemon);
    const said = await daemon.notify(['msg', '"from the shell"']);
    assert.deepStrictEqual([said.code, said.out, said.err], [0, '1 subscriber\n', '']);
    assert.deepStrictEqual(await heardArgs(redis, [one]), [['from the shell']]);
    assert.ok(!/sesame|hush/.test(daemon.log), 'no password in the log');
    assert.doesNotMatch(daemon.log, /does not allow/);

    const wrong = await daemonOf(t, [port], { redis: { ...good, sentinelPassword: 'guess' } });
    assert.strictEqual(wrong.redisState, 'not reachable, retrying');
    assert.match(wrong.log, /redis not reachable at the sentinel 127\.0\.0\.1:\d+: it answered: WRONGPASS/);
    const refused = await wrong.notify(['msg', '1']);
    assert.strictEqual(refused.code, 1);
    assert.match(refused.err, /cannot find the redis master "mymaster": the sentinel 127\.0\.0\.1:\d+: AUTH: WRONGPASS/);
});

test('nobody to ask, a name that is not known, and what is wrong is said once', async (t) => {
    const fake = await FakeSentinel.start(t, undefined);
    const daemon = await daemonOf(t, [await freePort(), fake.port]);
    assert.strictEqual(daemon.redisState, 'not reachable, retrying');
    await daemon.logged(/redis not reachable at the master mymaster: no sentinel that answers knows a master of this name; retrying/, within(2000));
    assert.match(daemon.log, /the sentinel 127\.0\.0\.1:\d+ knows no master of the name "mymaster"/);
    assert.match(daemon.log, /redis not reachable at the sentinel 127\.0\.0\.1:\d+: connect: Connection refused; retrying/);
    const said = await daemon.notify(['msg', '1']);
    assert.deepStrictEqual([said.code, said.err], [1, `axr-notify: cannot find the redis master "mymaster": the sentinel 127.0.0.1:${fake.port}: it knows no master "mymaster"\n`]);
    const asked = fake.asked;
    await until(() => fake.asked > asked, within(2000), 'it is asked on');
    assert.strictEqual(daemon.log.match(/knows no master of the name/g).length, 1);
    fake.server = await Redis.start(t);
    await daemon.logged(/redis subscribed at/, within(2500));
    await settled(daemon, (now) => now.get('redis_sentinels_up') === 1, 'one sentinel');
});

test('from an address to sentinels that name it, and back, by a reload: nothing is lost or doubled', async (t) => {
    const redis = await Redis.start(t);
    const fake = await FakeSentinel.start(t, redis);
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const numbers = new Numbers(await member(t, daemon));
    const stream = new Stream(t, 2);
    stream.goTo(redis, redis.client);
    for (const io of [settings([fake.port]), { redis: { host: '127.0.0.1', port: redis.port, sentinels: undefined } }]) {
        const from = daemon.log.length;
        await until(() => numbers.got.length > 20, within(2000), 'numbers');
        await reload(daemon, { 'socket.io': io });
        await daemon.logged(/the new connection has taken the place/, within(4000), from);
    }
    const end = stream.next;
    await until(() => numbers.order.at(-1) >= end, within(3000), 'the last number');
    const order = numbers.order;
    assert.deepStrictEqual(order, Array.from(order, (_, i) => order[0] + i));
    assert.strictEqual(await gapsOf(daemon), 0);
});

test('a reload of what sentinels are asked for and want: name, user, password and TLS', async (t) => {
    const redis = await Redis.start(t);
    const certificate = authority('authority of the sentinels').issue({ names: LOCAL });
    const [fake, safe] = [await FakeSentinel.start(t, redis), await FakeSentinel.start(t, redis, 0, certificate)];
    const daemon = await daemonOf(t, [fake.port]);
    const one = await member(t, daemon);
    const ca = path.join(daemon.dir, 'ca.pem');
    const secret = path.join(daemon.dir, 'password');
    fs.writeFileSync(ca, certificate.root);
    fs.writeFileSync(secret, 'from a file', { mode: 0o600 });
    const asked = () => [...new Set(fake.names)].join();
    const steps = [
        [{ name: 'other' }, () => asked() === `${NAME},other`],
        [{ sentinelPassword: 'hush' }, () => fake.credentials.includes('hush')],
        [{ sentinelUsername: 'watcher' }, () => fake.credentials.includes('watcher hush')],
        [{ sentinelPassword: undefined, sentinelPasswordFile: secret }, () => fake.credentials.includes('watcher from a file')],
        [{ sentinels: places([safe.port]), sentinelTLS: { caFile: ca } }, () => safe.credentials.includes('watcher from a file')],
    ];
    for (const [change, check] of steps) {
        const from = daemon.log.length;
        await reload(daemon, { 'socket.io': { redis: change } });
        await daemon.logged(/the new connection has taken the place/, within(4000), from);
        await until(check, within(1000), JSON.stringify(change));
    }
    assert.deepStrictEqual(await heardArgs(redis, [one]), [[]]);
    assert.strictEqual(await gapsOf(daemon), 0);
});

test('again and again, by either way', async (t) => {
    const ways = [
        (all) => all.sentinels[0].client.sendCommand(['SENTINEL', 'FAILOVER', NAME]),
        (all, master) => master.process.signal('SIGKILL'),
    ];
    const all = await world();
    for (let i = 0; i < 6; i++) {
        await all.revive();
        const context = { undo: [], after(fn) { this.undo.push(fn); }, show() {} };
        try {
            await failOver(context, { how: ways[i % 2] });
        } finally {
            for (const undo of context.undo.reverse()) await undo();
        }
    }
}, { long: true, timeout: 240000 });
