'use strict';
/* The subscription, as redis sees it: every byte of it, and when it is asked for again. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test } = require('./lib/suite');
const { FakeRedis, commandsOf } = require('./lib/fakeredis');
const { Redis } = require('./lib/redis');
const { Daemon, ROOT, merge } = require('./lib/daemon');
const { Raw } = require('./lib/raw');
const { scrape, settled } = require('./lib/metrics');
const { within, until, elapse } = require('./lib/time');

const BACKOFF = { min: 50, max: 1000 };

/* How long the daemon waited before each connection but the first. */
const pausesOf = (fake) => fake.connections.slice(1).map(({ at }, i) => at - fake.connections[i].closed);

test('a redis that confirms and breaks off is asked again at longer and longer intervals; after a while of success at once', async (t) => {
    const fake = await FakeRedis.start(t);
    let lasts = 0;
    fake.onSubscribed = (connection) => (lasts === 0 ? fake.close(connection) : setTimeout(() => fake.close(connection), lasts));
    const daemon = await Daemon.start(t, { redis: fake, config: { workers: 1 } });
    await until(() => fake.connections.length > 5, within(8000), 'five more attempts');
    const pauses = pausesOf(fake);
    for (const [i, pause] of pauses.entries()) {
        const least = Math.min(BACKOFF.min * 2 ** i, BACKOFF.max) / 2;
        assert.ok(pause >= least, `pauses of ${pauses} ms: number ${i + 1} is to be ${least} at least`);
    }
    /* One that holds for longer than the longest pause is a success; a machine that is
     * busy may make a short pause long, but not each time. */
    lasts = BACKOFF.max + 200;
    const from = fake.connections.length + 1;
    await until(() => pausesOf(fake).slice(from - 1).some((pause) => pause < BACKOFF.max / 2), within(5 * lasts), 'a pause from the beginning');
    assert.match(daemon.log, /redis subscribed again/);
});

const SETTINGS = {
    'the defaults': [{}, 5, [
        ['CLIENT', 'INFO'],
        ['PSUBSCRIBE', 'socket.io#/axr#*'], ['SUBSCRIBE', 'socket.io#emitter', 'socket.io#/axr'], ['PSUBSCRIBE', 'socket.io#[^/]*/axr#*'],
        ['PSUBSCRIBE', 'socket.io-request#/axr#'],
    ]],
    'a user, a database, and a key with wild cards': [
        { key: 'a[b]*?\\', redis: { username: 'né', password: 'pass word"\\', database: 7 } }, 5, [
            ['AUTH', 'né', 'pass word"\\'], ['SELECT', '7'], ['CLIENT', 'INFO'],
            ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\#/axr#*'], ['SUBSCRIBE', 'a[b]*?\\#emitter', 'a[b]*?\\#/axr'],
            ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\#[^/]*/axr#*'], ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\-request#/axr#'],
        ]],
    'a password alone, and the default namespace': [{ namespace: '/', redis: { password: 'p' } }, 6, [
        ['AUTH', 'p'], ['CLIENT', 'INFO'], ['PSUBSCRIBE', 'socket.io#/#*'], ['SUBSCRIBE', 'socket.io#emitter', 'socket.io#/'],
        ['PSUBSCRIBE', 'socket.io#[^/]*#'], ['SUBSCRIBE', 'socket.io#'], ['PSUBSCRIBE', 'socket.io-request#/#'],
    ]],
};
for (const [what, [settings, topics, commands]] of Object.entries(SETTINGS))
    test(`what is subscribed after a loss is byte for byte what was at first: ${what}`, async (t) => {
        const fake = await FakeRedis.start(t, { topics });
        const config = { workers: 1, 'socket.io': settings };
        const daemon = await Daemon.start(t, { redis: fake, config });
        const first = await fake.subscribed(0);
        assert.deepStrictEqual(commandsOf(first.asked), commands);
        const losses = [
            (connection) => fake.close(connection), (connection) => connection.socket.resetAndDestroy(),
            (connection) => connection.socket.write('what no redis says\r\n'),
        ];
        for (const [i, lose] of losses.entries()) {
            const from = daemon.log.length;
            lose(fake.connections[i]);
            assert.deepStrictEqual(String((await fake.subscribed(i + 1)).asked), String(first.asked), `loss ${i + 1}`);
            await daemon.logged(/redis subscribed again/, within(1000), from);
        }
        const from = daemon.log.length; /* the same server under another name */
        daemon.write(merge(daemon.config, { 'socket.io': { redis: { host: 'localhost' } } }));
        daemon.signal('SIGHUP');
        assert.deepStrictEqual(String((await fake.subscribed(losses.length + 1)).asked), String(first.asked), 'after a reload');
        await daemon.logged(/the new connection has taken the place/, within(3000), from);
    });

/* --- what others count --- */
const REQUESTS = 'socket.io-request#/axr#';
const counted = async (redis) => Number((await redis.client.sendCommand(['PUBSUB', 'NUMSUB', REQUESTS]))[1]);

/* What daemons have published on the channels of answers, from now on. */
async function answers(redis) {
    const heard = [];
    const subscriber = await redis.connect();
    await subscriber.pSubscribe('socket.io-response#*', (text, channel) => heard.push([channel, text]));
    return heard;
}

test('others count the daemon from the ready line on, over changes of the user, until it stops', async (t) => {
    const redis = await Redis.start(t);
    for (const user of ['ann', 'bob']) await redis.client.sendCommand(['ACL', 'SETUSER', user, 'on', '>sesame', 'allchannels', '+@all']);
    const heard = await answers(redis);
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    assert.strictEqual(await counted(redis), 1, 'at the ready line');
    assert.deepStrictEqual(heard, [['socket.io-response#/axr#', '{}']], 'and has said nothing else');
    for (const username of ['ann', 'bob', 'ann']) {
        const from = daemon.log.length;
        const counts = new Set();
        daemon.write(merge(daemon.config, { 'socket.io': { redis: { username, password: 'sesame' } } }));
        daemon.signal('SIGHUP');
        const taken = () => /the new connection has taken the place/.test(daemon.log.slice(from));
        await until(async () => counts.add(await counted(redis)) && taken(), within(5000), 'the new connection');
        await until(async () => (await counted(redis)) === 1, within(2000), 'one of both');
        assert.ok(!counts.has(0), 'it is counted all the time');
        const users = async () => String(await redis.client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'pubsub'])).match(/ user=(ann|bob)\b/g).join();
        await until(async () => (await users()) === ` user=${username}`, within(2000), 'the old connection to be closed');
    }
    await daemon.stop();
    assert.strictEqual(await counted(redis), 0, 'after the stop');
    assert.ok(heard.every(([, text]) => text === '{}'), 'nothing but {} was said');
    assert.ok(!/ (warn|error) master\S* redis/.test(daemon.log), daemon.log);
});

/* Of both connections, who they are. */
const clientsOf = async (redis, user) => String(await redis.client.sendCommand(['CLIENT', 'LIST'])).split('\n')
    .filter((line) => line.includes(` user=${user} `)).map((line) => /\bid=(\d+)/.exec(line)[1]);

test('what an ACL does not allow: answers, the channel of requests, or both; the rest is done', async (t) => {
    const redis = await Redis.start(t);
    const channels = ['&socket.io#/axr#*', '&socket.io#/axr', '&socket.io#emitter'];
    const may = ['-@all', '+subscribe', '+psubscribe', '+unsubscribe', '+punsubscribe', '+ping', '+client|info', '+client|kill'];
    const request = `&${REQUESTS}`, response = '&socket.io-response#/axr#*';
    const rules = {
        all: { rules: [...may, '+publish', request, response], counted: 1, lines: [] },
        mute: { rules: [...may, request, response], counted: 0, lines: [/ warn master.*redis does not allow PUBLISH of answers/] },
        elsewhere: { rules: [...may, '+publish', request], counted: 0, lines: [/ warn master.*redis does not allow PUBLISH of answers/] },
        deaf: { rules: [...may, '+publish', response], counted: 0, lines: [/ warn master.*redis does not allow the channel of requests/] },
        neither: { rules: [...may], counted: 0, lines: [/ warn master.*redis does not allow PUBLISH of answers/, / info master.*redis does not allow the channel of requests/] },
    };
    for (const [user, one] of Object.entries(rules)) {
        await redis.client.sendCommand(['ACL', 'SETUSER', user, 'on', '>sesame', 'resetchannels', ...channels, ...one.rules]);
        const heard = await answers(redis);
        const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { redis: { username: user, password: 'sesame' } } } });
        assert.strictEqual(await counted(redis), one.counted, user);
        assert.strictEqual((await clientsOf(redis, user)).length, 2, `${user}: both connections stay`);
        for (const line of one.lines) await daemon.logged(line, within(2000));
        daemon.signal('SIGHUP'); /* which tries again, and says nothing */
        await daemon.logged(/configuration reloaded/, within(2000));
        const lines = daemon.log.split('\n').filter((line) => /redis does not allow (PUBLISH|the channel)/.test(line));
        assert.strictEqual(lines.length, one.lines.length, lines.join('\n'));
        assert.ok(heard.every(([, text]) => text === '{}'), `${user}: nothing but {} is tried`);
        await daemon.stop();
        assert.match(daemon.log, /redis_gaps=0/);
    }
});

/* The words of the command that conf(5) has for a user. */
function rightsOfManual() {
    const page = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.conf.5'), 'utf8');
    const [, text] = /^redis-cli ACL SETUSER pusher ([^]*?)^\.Ed/m.exec(page);
    return text.replace(/\\e\n/g, ' ').trim().split(/\s+/).map((word) => word.replace(/'/g, ''));
}
/* Is a client of one of them recovered at the other? */
async function recovers(from, to) {
    const come = async (daemon, claim) => {
        const client = await Raw.open(daemon.addr);
        client.sendText(client.connectPacket('/axr', { token: from.token('u'), ...claim }));
        const { pid } = JSON.parse((await client.text()).replace('40/axr,', ''));
        client.destroy();
        await settled(daemon, (now) => now.get('clients') === 0, 'it has gone');
        return pid;
    };
    const pid = await come(from);
    return (await come(to, { pid })) === pid;
}
const shared = async (daemon) => (await scrape(daemon)).get('recovery_offsets_shared');
const PEERS = '&socket.io-peer#/axr#';

test('the rights that conf(5) gives are enough for two daemons that recover each other\'s clients; without the channel each has its own', async (t) => {
    const redis = await Redis.start(t);
    const rights = rightsOfManual();
    assert.ok(rights.includes(PEERS), rights.join(' '));
    const users = { full: rights, alone: rights.filter((word) => word !== PEERS && word !== '+cluster|myid') };
    for (const [user, rules] of Object.entries(users)) {
        await redis.client.sendCommand(['ACL', 'SETUSER', user, '-@all', ...rules]);
        const socket = { redis: { username: user, password: 'password' }, connectionStateRecovery: true };
        const daemons = [];
        for (let i = 0; i < 2; i++) daemons.push(await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': socket } }));
        const [one, other] = daemons;
        if (user === 'full') await until(async () => (await shared(one)) + (await shared(other)) === 2, within(3000), 'two marks');
        assert.strictEqual(await recovers(one, one), true, `${user}: its own`);
        assert.strictEqual(await recovers(one, other), user === 'full', `${user}: that of another`);
        for (const daemon of daemons) {
            const lines = daemon.log.split('\n').filter((line) => /redis does not allow (?!pattern=)/.test(line));
            assert.strictEqual(lines.length, user === 'full' ? 0 : 1, lines.join('\n'));
            if (user === 'alone') assert.strictEqual(await shared(daemon), 0);
            await daemon.stop();
        }
    }
});
