'use strict';
/* The Java client (Android's, too), 1.0 and 2.1, as Maven has it: delivery, refusal,
 * renewal, and that it is back soon after whatever ends its connection for our sake. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test, shared, mode } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, ROOT, SECRET, merge } = require('./lib/daemon');
const { Process, run, has } = require('./lib/proc');
const { sign, now, expiring } = require('./lib/jwt');
const { within, until, elapse } = require('./lib/time');

const VERSIONS = ['1.0.2', '2.1.1'];
const TRANSPORTS = ['websocket', 'polling', 'default'];
const SOURCE = path.join(__dirname, 'java');
const CACHE = path.join(ROOT, 'build/java'); /* jars and classes, whatever AXR_BUILD is */
const STAY_MS = 5000; /* of one that is refused */

async function command(what, args) {
    const how = await run(what, args, { ms: within(60000) });
    if (how.code !== 0) throw new Error(`${what}: ${(how.out + how.err).trim().split('\n').slice(0, 5).join('\n')}`);
}
/* Makes something of a source file, unless that has been done: stamp is a copy of it. */
async function made(stamp, name, make) {
    const source = path.join(SOURCE, name);
    if (fs.existsSync(stamp) && fs.readFileSync(stamp).equals(fs.readFileSync(source))) return;
    await make(source);
    fs.copyFileSync(source, stamp);
}
/* The class path of a version; what is not there yet is fetched and compiled. */
async function build(version) {
    const [jars, classes] = ['jars', 'classes'].map((name) => path.join(CACHE, version, name));
    await made(`${jars}.of`, 'pom.xml', (pom) => command('mvn', ['-B', '-q', '-f', pom,
        'dependency:copy-dependencies', `-Dclient=${version}`, `-DoutputDirectory=${jars}`]));
    await made(`${classes}.of`, 'Client.java', (source) => {
        fs.mkdirSync(classes, { recursive: true });
        return command('javac', ['-nowarn', '-cp', path.join(jars, '*'), '-d', classes, source]);
    });
    return [path.join(jars, '*'), classes].join(path.delimiter);
}
const built = shared(async () => {
    const paths = [];
    for (const version of VERSIONS) paths.push(await build(version)); /* Maven shares its repository with nobody */
    return paths;
});

/* One program of each version, with a client for each of words: what it has heard is in
 * lines(), and all(event) has the arguments of each such. */
async function start(t, { host, port }, words) {
    const paths = await built();
    return VERSIONS.flatMap((version, i) => {
        const program = new Process('java', ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', paths[i], 'Client',
            `http://${host}:${port}/axr`, '/notifications', ...words]);
        program.title = `Java client ${version}`; /* its arguments are tokens */
        t.show(program);
        t.after(() => program.signal('SIGKILL') && program.exited);
        return words.map((word, number) => {
            const lines = () => program.log.split('\n').slice(0, -1).filter((line) => line.startsWith(`${number} `))
                .map((line) => /^\d+ (\w+) (.*)$/.exec(line)).map(([, event, args]) => ({ event, args: JSON.parse(args) }));
            const what = `${version}, ${word.split(',')[0]}`;
            return {
                what, program, old: version.startsWith('1'), lines,
                all: (event) => lines().filter((one) => one.event === event).map((one) => one.args),
                until: (check, ms, name) => until(check, ms, `${name}: ${what}`),
            };
        });
    });
}
const each = (clients, fn) => Promise.all(clients.map(fn));
const isIn = (clients, times = 1, ms = within(5000)) =>
    each(clients, (one) => one.until(() => one.all('connect').length >= times, ms, `connect ${times}`));

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    return { redis, daemon: await Daemon.start(s, { redis, config: { workers: 2 } }) };
});
const missing = ['javac', 'mvn'].filter((program) => !has(program));

function java(what, fn) {
    test(`Java clients ${VERSIONS.join(' and ')}: ${what}`, async (t) => {
        if (missing.length) return t.skip(`no ${missing.join(' and no ')}; scripts/deps test installs them`);
        return fn(t);
    }, { timeout: 120000, quick: false });
}
if (mode === 'quick') test('Java clients', (t) => t.skip('not with --quick'));

java('hear text, objects and binary, in order, over each transport', async (t) => {
    const { redis, daemon } = await world();
    const clients = await start(t, daemon.addr, TRANSPORTS.map((one) => `${one},${daemon.token('u')}`));
    await isIn(clients);
    const io = redis.emitter();
    io.emit('text', 'hé€😀', { a: [1, null, 1.5, { b: 'c' }] });
    io.to('somebody else').emit('text', 'not for it');
    io.to('u').emit('bin', Buffer.from([1, 2, 255]), 'and text');
    for (let i = 0; i < 40; i++) io.emit('seq', i);
    await each(clients, (one) => one.until(() => one.all('seq').length >= 40, within(3000), 'all of it'));
    for (const one of clients) {
        assert.deepStrictEqual(one.all('text'), [['hé€😀', { a: [1, null, 1.5, { b: 'c' }] }]], one.what);
        assert.deepStrictEqual(one.all('bin'), [['0102ff', 'and text']], one.what);
        assert.deepStrictEqual(one.all('seq'), Array.from({ length: 40 }, (_, i) => [i]), one.what);
    }
});

java('are told why they are refused, and do not come back', async (t) => {
    const { daemon } = await world();
    const began = Date.now();
    const clients = await start(t, daemon.addr, TRANSPORTS.map((one) => `${one},${daemon.token('u', { exp: 1000 })}`));
    const message = 'The token has expired';
    await each(clients, (one) => one.until(() => one.lines().length > 0, within(5000), 'a word'));
    for (const one of clients) {
        if (one.old) assert.deepStrictEqual(one.lines(), [{ event: 'error', args: [message] }], one.what);
        else assert.deepStrictEqual(one.all('connect_error'), [[{ message, data: { code: 'token_expired' } }]], one.what);
    }
    /* 2.1 has left by itself. */
    const stays = clients.filter((one) => one.old);
    await each(stays, (one) => one.until(() => one.all('disconnect').length, within(STAY_MS), 'sent away'));
    assert.ok(Date.now() - began >= STAY_MS, 'before its time');
    await elapse(2000); /* they would come back after 1 s, or 1.5 */
    for (const one of clients) {
        const events = one.lines().map(({ event }) => event);
        assert.deepStrictEqual(events, one.old ? ['error', 'disconnect'] : ['connect_error'], one.what);
    }
});

java('renew their token, and stay', async (t) => {
    const { redis, daemon } = await world();
    const [exp, clients] = await expiring(async (end) => {
        const [short, long] = [end, end + 3600].map((one) => sign({ uid: 'u', exp: one }, SECRET));
        const all = await start(t, daemon.addr, [`websocket,${short},${long}`, `polling,${short},${long}`, `websocket,${short},x.y.z`]);
        await each(all, (one) => one.until(() => one.lines().some(({ event }) => event !== 'connect'), within(5000), 'an answer'));
        for (const one of all) assert.strictEqual(one.all('renewed').length, 1, `${one.what}: ${JSON.stringify(one.lines())}`);
        return [end, all];
    }, 5);
    const [stays, goes] = [clients.filter((_, i) => i % 3 < 2), clients.filter((_, i) => i % 3 === 2)];
    for (const one of stays) assert.deepStrictEqual(one.all('renewed'), [[{ ok: true, expires: exp + 3600 }]], one.what);
    for (const one of goes) assert.strictEqual(one.all('renewed')[0][0].code, 'token_malformed', one.what);
    await each(goes, (one) => one.until(() => one.all('disconnect').length, Math.max(0, exp - now()) * 1000 + within(2000), 'the end'));
    redis.emitter().to('u').emit('text', 'still there');
    await each(stays, (one) => one.until(() => one.all('text').length, within(2000), 'text'));
    for (const one of stays) assert.deepStrictEqual(one.all('disconnect'), [], one.what);
    for (const one of goes) assert.deepStrictEqual([one.all('disconnect'), one.all('text')], [[['io server disconnect']], []], one.what);
});

/* --- what ends many connections --- */

/* Their ping timeout is 45 s from the last ping: they do not wait for it. */
const SOON_MS = 3000;
const words = (daemon) => TRANSPORTS.map((one) => `${one},${daemon.token('u')}`);

/* Each is in again, and hears; what it heard is in order and nothing came twice. */
async function back(clients, redis, from) {
    await each(clients, (one) => one.until(() => one.all('connect').length >= 2, within(SOON_MS), 'back'));
    for (const one of clients) assert.ok(one.all('disconnect').length >= 1, one.what);
    const said = `again ${from}`;
    redis.emitter().to('u').emit('text', said);
    await each(clients, (one) => one.until(() => one.all('text').some(([text]) => text === said), within(2000), 'a message'));
    for (const one of clients) {
        const numbers = one.all('seq').map(([n]) => n);
        assert.ok(numbers.every((n, i) => !i || n > numbers[i - 1]), `${one.what}: ${numbers}`);
    }
}
for (const [what, end] of [
    ['a shutdown', (daemon) => daemon.stop()],
    ['the death of the master', async (daemon) => {
        await daemon.kill();
        await until(() => daemon.workers().length === 0, within(2000), 'no worker');
    }],
]) {
    java(`are back soon after ${what}`, async (t) => {
        const { redis } = await world();
        const config = { port: await freePort() };
        const daemon = await Daemon.start(t, { redis, config });
        const clients = await start(t, daemon.addr, words(daemon));
        await isIn(clients);
        const all = Array.from({ length: 20 }, (_, i) => i);
        for (const n of all) redis.emitter().emit('seq', n);
        await each(clients, (one) => one.until(() => one.all('seq').length >= all.length, within(2000), 'what came before'));
        await end(daemon);
        await Daemon.start(t, { redis, config });
        await back(clients, redis, what);
    });
}
java('are back soon after a reload of the second kind', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { drainTimeout: 3000 } });
    daemon.deaths = true; /* workers of two generations */
    const clients = await start(t, daemon.addr, words(daemon));
    await isIn(clients);
    let n = 0;
    const stream = setInterval(() => redis.emitter().emit('seq', n++), 20);
    t.after(() => clearInterval(stream));
    daemon.write(merge(daemon.config, { workers: 3 }));
    daemon.signal('SIGHUP');
    await back(clients, redis, 'a reload');
    await daemon.logged(/generation 1 has left/, within(4000));
});
