'use strict';
/* Workers and a master that die, hang, or are put off. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { row, redisServer, isLong, isSanitized, MB, pssOf, cpuShare } = require('../lib/table');
const { Stream } = require('../lib/stream');
const { Daemon, ROOT } = require('../../e2e/lib/daemon');
const { joined } = require('../../e2e/lib/raw');
const { Events } = require('../../e2e/lib/events');
const { polled } = require('../../e2e/lib/http');
const { heardArgs } = require('../../e2e/lib/hear');
const { crowd, publisher, isSequence, numbersOf } = require('../../e2e/lib/load');
const { isRunning, tempDir } = require('../../e2e/lib/proc');
const { now } = require('../../e2e/lib/jwt');
const { SLOW, within, until, elapse } = require('../../e2e/lib/time');

const preload = (name) => path.join(ROOT, 'build/test/faults', `${name}.so`);

/* A file of numbers of 64 bits that a preloaded library looks at. */
function orders(t, count) {
    const file = path.join(tempDir(t), 'orders');
    const write = (...numbers) => {
        const fd = fs.openSync(file, 'r+');
        numbers.forEach((number, index) => {
            const bytes = Buffer.alloc(8);
            bytes.writeBigInt64LE(BigInt(number));
            fs.writeSync(fd, bytes, 0, 8, index * 8);
        });
        fs.closeSync(fd);
    };
    fs.writeFileSync(file, Buffer.alloc(8 * count));
    return { file, write, read: (index) => Number(fs.readFileSync(file).readBigInt64LE(index * 8)) };
}

/* --- 24: memory ------------------------------------------------------------- */

/* One in so many allocations fails; where. */
const HUNGERS = [[100, 'workers'], [10, 'workers'], [100, 'master'], [10, 'master'], [100, 'all'], [10, 'all']];
row(24, 'allocation failure', 'a client lost at worst, never the master', async (t) => {
    if (isSanitized) {
        t.note('left to the other build: a sanitizer has an allocator of its own');
        return;
    }
    const redis = await redisServer();
    const file = orders(t, 3);
    const env = { LD_PRELOAD: preload('failmalloc'), AXR_FAIL_FILE: file.file };
    const daemon = await Daemon.start(t, { redis, config: { log: { level: 'info' } }, env });
    const keep = await crowd(t, daemon, 10);
    daemon.deaths = true;
    for (const [oneIn, where] of HUNGERS) {
        const failed = file.read(2);
        file.write(oneIn, { workers: daemon.pid, master: -daemon.pid, all: 0 }[where]);
        let entered = 0;
        const watching = [];
        for (let i = 0; i < (isLong ? 1000 : 60); i++) {
            if (i % 10 === 0) watching.push(await Events.open(t, daemon));
            const client = await joined(daemon.addr, daemon.token(`u${i}`), { eio: 3 + (i & 1), nsp: '/axr' }).catch(() => null);
            entered += client ? 1 : 0;
            redis.emitter().to(i & 1 ? `u${i}` : 'allusers').emit('msg', 'x'.repeat(i * 50), Buffer.alloc(i));
            if (client) client.destroy();
        }
        await redis.flush();
        file.write(0, 0);
        watching.forEach((events) => events.close());
        t.note(`1 in ${oneIn} in ${where}: ${file.read(2) - failed} failed, ${entered} let in`);
        assert.ok(!daemon.process.how, 'the master has ended');
    }
    const dead = daemon.workersAtReady.filter((pid) => !isRunning(pid)).length;
    const left = keep.filter((client) => !client.over).length;
    t.note(`${dead} workers and ${keep.length - left} of ${keep.length} clients lost`);
    assert.strictEqual(dead, 0, 'workers died');
    await until(async () => {
        const client = await joined(daemon.addr, daemon.token('after')).catch(() => null);
        if (!client) return false;
        redis.emitter().to('after').emit('msg', 'served');
        const heard = await client.event(within(1000)).catch(() => null);
        client.destroy();
        return heard && heard.args[1] === 'served';
    }, within(15000), 'served again');
    assert.strictEqual((await (await Events.open(t, daemon)).first('now')).health.status, 'ok');
}, { timeout: isLong ? 300000 : 60000 });

/* --- 25 to 28: death and sleep ---------------------------------------------- */

row(25, `kill -9 a worker, ${isLong ? 20 : 5} times`, 'replaced within 1 s, other workers\' clients lose nothing', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, log: { level: 'info' } } });
    daemon.deaths = true;
    const load = publisher(redis);
    t.after(() => load.stop());
    const born = new Map(daemon.workers().map((pid) => [pid, Date.now()]));
    const clients = new Map(); /* and the number that each heard first */
    const more = async (count) => {
        for (const client of await crowd(t, daemon, count)) clients.set(client, client.event().then((event) => event.args[1], () => null)); /* null: lost before it heard any */
    };
    let slowest = 0;
    let lost = 0;
    for (let round = 0; round < (isLong ? 20 : 5); round++) {
        await more(20 - [...clients.keys()].filter((client) => !client.over).length);
        const [victim, since] = [...born].sort((a, b) => a[1] - b[1])[0];
        await elapse(Math.max(0, since + 2100 - Date.now())); /* a younger one is forked later */
        process.kill(victim, 'SIGKILL');
        const began = Date.now();
        await until(() => daemon.workers().length === 4 && !isRunning(victim), within(1000), 'the next worker');
        slowest = Math.max(slowest, Date.now() - began);
        born.delete(victim);
        for (const pid of daemon.workers()) if (!born.has(pid)) born.set(pid, Date.now());
    }
    const count = await load.stop();
    const kept = [...clients.keys()].filter((client) => !client.over);
    lost = clients.size - kept.length;
    for (const [client, heard] of clients) {
        const first = client.over ? await heard : null;
        if (first !== null) assert.ok(isSequence([first, ...numbersOf(client.frames)]), 'before the end of a lost one');
    }
    const rest = await heardArgs(redis, kept);
    for (const [index, client] of kept.entries()) {
        const first = await clients.get(client);
        const numbers = [first, ...rest[index]];
        assert.ok(isSequence(numbers, first) && numbers[numbers.length - 1] === count - 1, 'a gap, a double, a wrong order');
    }
    assert.ok(kept.length && lost, `${kept.length} kept, ${lost} lost`);
    t.note(`${kept.length} clients of others heard all of ${count} messages once and in order, ${lost} were lost with their worker`);
    t.took('replaced after at most', slowest, 1000);
}, { timeout: 120000 });

row(26, 'kill -9 the master under load, a worker stopped', 'workers gone within 2 s, port free, no orphans', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    const clients = await crowd(t, daemon, 20);
    const load = publisher(redis);
    t.after(() => load.stop());
    await clients[0].take();
    const workers = daemon.workers();
    t.after(() => workers.filter(isRunning).forEach((pid) => process.kill(pid, 'SIGKILL')));
    process.kill(workers[0], 'SIGSTOP');
    const began = Date.now();
    await daemon.kill();
    await until(() => !workers.some(isRunning), within(2000), 'end of the workers');
    t.took(`${workers.length} workers, one of them stopped, gone after`, Date.now() - began, 2000);
    await Promise.all(clients.map((client) => client.end()));
    assert.doesNotMatch(daemon.log, /handoff dropped/);
    for (const client of clients.slice(1)) assert.ok(isSequence(numbersOf(client.frames)));
    const server = net.createServer();
    await new Promise((resolve, reject) => server.on('error', reject).listen(daemon.addr.port, '127.0.0.1', resolve));
    await new Promise((resolve) => server.close(resolve));
    t.note('port free');
});

row(27, 'SIGSTOP a worker for 60 s', 'others\' p99 under 50 ms; master grows at most 64 MB; replaced after 10 s; redis link survives', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, log: { level: 'info' } } });
    daemon.deaths = true;
    const stream = await Stream.start(t, daemon, redis, { count: 200, rate: 200, size: 2000 });
    await elapse(2000);
    await stream.phase();
    const before = pssOf(daemon.pid);
    const [victim] = daemon.workers();
    const from = daemon.log.length;
    process.kill(victim, 'SIGSTOP');
    t.after(() => isRunning(victim) && process.kill(victim, 'SIGKILL'));
    const began = Date.now();
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, pssOf(daemon.pid) - before)), 100);
    t.after(() => clearInterval(watch));
    await until(() => !isRunning(victim) && daemon.workers().length === 4, within(12000), 'the next worker');
    t.took('replaced after', Date.now() - began, 12000);
    await elapse(60000 - (Date.now() - began));
    const phase = await stream.phase();
    t.judged('p99 of the others', phase.p99, 50, 'ms');
    t.memory('master grew at most', most, 64 * MB);
    const result = await stream.stop();
    t.note(`${result.lost} of 200 clients lost with it, the others heard all of ${result.sent}`);
    assert.deepStrictEqual(result.wrong, []);
    assert.strictEqual(result.behind, 0);
    assert.ok(result.lost < 200);
    assert.doesNotMatch(daemon.log.slice(from), /redis lost/);
}, { long: true, timeout: 180000 });

const BACKOFF_MAX = 30000;
row(28, 'worker that dies within 2 s of its fork, again and again', 'back-off doubling to 30 s, under 5% of a core; other deaths do not count', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, log: { level: 'info' } } });
    daemon.deaths = true;
    const [stays] = daemon.workers();
    await elapse(2200);
    const cpu = cpuShare([daemon.pid], 60000);
    const waits = [];
    const born = () => daemon.workers().filter((pid) => pid !== stays);
    /* the first death is a late one, and forked again at once */
    for (let deaths = 0; waits[waits.length - 1] !== BACKOFF_MAX || waits.length < 11; deaths++) {
        await until(() => born().length === 1, within(BACKOFF_MAX), 'the next worker');
        const from = daemon.log.length;
        process.kill(born()[0], 'SIGKILL');
        const [, now_, wait] = await daemon.logged(/killed by signal 9 .*; (?:(replaced at once)|forked again in (\d+) ms)/, within(2000), from);
        if (deaths === 0) assert.ok(now_, 'a death after 2 s counts');
        else waits.push(Number(wait));
    }
    waits.forEach((wait, index) => assert.strictEqual(wait, Math.min(BACKOFF_MAX, 100 * 2 ** index)));
    t.note(`forked again after ${waits.join(', ')} ms`);
    t.judged('CPU of the master', await cpu, 5, '% of a core');
    /* one that has lived long is replaced at once, and its next early death begins anew */
    const before = daemon.workers();
    const from = daemon.log.length;
    process.kill(stays, 'SIGKILL');
    await daemon.logged(/replaced at once/, within(2000), from);
    await until(() => daemon.workers().length === before.length, within(1000), 'the next worker');
    t.note('a death after 2 s: replaced at once');
}, { long: true, timeout: 300000 });

/* --- 29: clocks ------------------------------------------------------------- */

const HOUR = 3600;
const YEAR = 365 * 24 * HOUR;
row(29, 'clock jumps an hour, a year', 'no mass disconnect; new tokens follow the wall clock', async (t) => {
    const redis = await redisServer();
    const clock = orders(t, 1);
    const timers = { pingInterval: 400 * SLOW, pingTimeout: 3000 * SLOW };
    const env = { LD_PRELOAD: preload('clockjump'), AXR_CLOCK_FILE: clock.file };
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': timers }, env });
    const clients = [];
    for (let i = 0; i < 20; i++) clients.push(await joined(daemon.addr, daemon.token('u', i & 1 ? { exp: now() + HOUR / 2 } : {})));
    t.after(() => clients.forEach((client) => client.destroy()));
    const events = await Events.open(t, daemon);
    const poller = await polled(daemon.addr, daemon.token('u'));
    let polls = true;
    const polling = (async () => {
        while (polls) await poller.take(within(5000));
    })();
    const lets = (claims) => joined(daemon.addr, daemon.token('n', claims)).then((client) => client.destroy() || true, () => false);
    for (const jump of [HOUR, -HOUR, YEAR, -YEAR, 0]) {
        clock.write(jump);
        await elapse(2 * timers.pingInterval); /* heartbeats go on, and what is due by a wrong clock is due now */
        redis.emitter().emit('msg', jump);
        for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, [jump]);
        assert.ok(await lets({ exp: now() + jump + 60 }), `refused after ${jump} s: a token that is good then`);
        assert.ok(await lets({ nbf: now() + jump - 1 }), `refused after ${jump} s: nbf`);
        assert.ok(!(await lets({ exp: now() + jump - 60 })), `let in after ${jump} s: a token that has expired then`);
        assert.ok(!(await lets({ nbf: now() + jump + 60 })), `let in after ${jump} s: nbf`);
        const { time, uptime } = await events.now(() => true, 'who watches is told each second');
        assert.ok(Math.abs(time / 1000 - now() - jump) < 60 && uptime < 60 * SLOW, `${time} ${uptime}`);
        if (jump) assert.match(daemon.log, new RegExp(`^${new Date((now() + jump) * 1000).toISOString().slice(0, 13)}`, 'm'));
    }
    polls = false;
    redis.emitter().emit('msg', 'last');
    await polling;
    t.note(`${clients.length} clients and one that polls kept over +-1 h, +-1 year and back; 20 of 20 new tokens judged by the new time`);
}, { timeout: 60000 });
