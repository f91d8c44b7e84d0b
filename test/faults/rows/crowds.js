'use strict';
/* Clients by the thousand: slow, stalled, short-lived, cut off, told to go. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const { row, redisServer, isLong, isSanitized, KB, MB, sizeOf, workersPss, daemonPss } = require('../lib/table');
const { Light, lights, opening } = require('../lib/light');
const { Stream } = require('../lib/stream');
const { byAddress } = require('../lib/byaddress');
const { namespaces } = require('../lib/strangers');
const { quiet } = require('../lib/quiet');
const { Polling } = require('../../e2e/lib/http');
const { serves } = require('../../e2e/lib/load');
const { SLOW, within, deadline, until, elapse } = require('../../e2e/lib/time');

const descriptors = (daemon) => [daemon.pid, ...daemon.workers()].reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);

/* --- 20: slowloris ---------------------------------------------------------- */

/* A kind of client that never comes to an end: what it says first, and every second. */
function slow(sids) {
    const head = Buffer.from('GET /notifications/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n');
    const body = (sid) => Buffer.from(`POST /notifications/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4`);
    return [
        () => [head, 'X: x\r\n'], () => [body(sids.pop()), 'x'],
        () => [Buffer.from('160301', 'hex'), '\0'], () => [Buffer.alloc(0), ''],
    ];
}
row(20, '5,000 slowloris sockets (head, body, TLS hello, nothing); 5,000 strangers from 50 addresses, plain and over TLS', 'closed within 10 s; others\' p99 under 100 ms; 1,000 users stay, 1,000 more connect', async (t) => {
    const redis = await redisServer();
    const daemon = await quiet(t, { redis, config: { workers: 2 } });
    const stream = await Stream.start(t, daemon, redis, { count: 100, rate: 50 });
    const count = 5000;
    const sids = [];
    for (let i = 0; i < count / 4; i += 25)
        sids.push(...(await Promise.all(Array.from({ length: 25 }, () => Polling.open(daemon.addr).then(({ sid }) => sid)))));
    await stream.phase();
    const kinds = slow(sids);
    const sockets = [];
    const ends = [];
    for (let i = 0; i < count; i++) {
        const [first, more] = kinds[i % 4]();
        const socket = net.connect(daemon.addr);
        const began = Date.now();
        socket.on('error', () => {});
        socket.resume().write(first);
        ends.push(new Promise((resolve) => socket.on('close', () => resolve(Date.now() - began))));
        sockets.push([socket, more]);
        if (i % 100 === 99) await elapse(5);
    }
    const drip = setInterval(() => sockets.forEach(([socket, more]) => more && socket.writable && socket.write(more)), 1000);
    t.after(() => clearInterval(drip));
    t.after(() => sockets.forEach(([socket]) => socket.destroy()));
    const took = await deadline(Promise.all(ends), within(10000), 'end of all slow ones');
    t.note(`${count} closed`);
    t.took('the last after', Math.max(...took), 10000);
    const result = await stream.stop();
    t.judged('p99 of the others', result.p99, 100, 'ms');
    assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
    await daemon.stop();
    const places = namespaces(t, 50);
    for (const secure of [false, true]) await byAddress(t, { secure, net: places, addresses: 50, each: 100, users: 1000, rate: 5 });
}, { long: true, timeout: 300000 });

/* --- 21: stalled readers ---------------------------------------------------- */

/* Bytes that the kernel keeps for all TCP sockets of this network. */
function kernelBytes() {
    const [, pages] = /^TCP: .* mem (\d+)/m.exec(fs.readFileSync('/proc/net/sockstat', 'latin1'));
    return Number(pages) * 4096;
}
const STALL = isLong ? { stalled: 10000, healthy: 100, sendTimeout: 10000 } : { stalled: 500, healthy: 50, sendTimeout: 2000 };
row(21, `${STALL.stalled} readers that stall among ${STALL.healthy}, 1 KB x 100/s`, 'memory bounded, the kernel\'s share too; all cut within sendTimeout and a few s; healthy lose nothing', async (t) => {
    const redis = await redisServer();
    const { stalled, healthy, sendTimeout } = STALL;
    const daemon = await quiet(t, { redis, config: { workers: 2, limits: { sendTimeout } } });
    const clients = await lights(daemon.addr, stalled, () => daemon.token('stalled'));
    t.after(() => clients.forEach((client) => client.destroy()));
    clients.forEach((client) => client.socket.pause());
    const stream = await Stream.start(t, daemon, redis, { count: healthy, rate: 100, size: 1000 });
    const [before, kernelBefore] = [daemonPss(daemon), kernelBytes()];
    let [most, kernelMost] = [0, 0];
    const files = descriptors(daemon);
    const cut = () => files - descriptors(daemon);
    const began = Date.now();
    await until(async () => {
        most = Math.max(most, daemonPss(daemon) - before);
        kernelMost = Math.max(kernelMost, kernelBytes() - kernelBefore);
        await elapse(200);
        return cut() >= stalled;
    }, within(sendTimeout + 10000), 'all stalled ones to be cut');
    t.note(`${cut()} cut ${Date.now() - began} ms after the first message (the kernel takes the first seconds' worth)`);
    t.memory('daemon grew at most', most, MB + stalled * 128 * KB);
    t.note(`kernel ${sizeOf(kernelMost)}, ${Math.round(kernelMost / stalled / KB)} KB each`);
    const result = await stream.stop();
    t.note(`the healthy heard all of ${result.sent}, p99 ${result.p99.toFixed(1)} ms`);
    assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
    assert.ok(isSanitized || kernelMost < stalled * 512 * KB, `kernel keeps ${sizeOf(kernelMost)}`);
}, { timeout: isLong ? 300000 : 90000 });

/* --- 22: users that come and go --------------------------------------------- */

row(22, '100,000 users come and go', 'memory back, join time flat (colliding names: test_room, test_table)', async (t) => {
    const redis = await redisServer();
    const daemon = await quiet(t, { redis, config: { workers: 1 } });
    const WAVE = 10000;
    const waves = [];
    let user = 0;
    for (let wave = 0; wave < 10; wave++) {
        const all = [];
        const rates = [];
        for (let part = 0; part < 10; part++) {
            const began = process.hrtime.bigint();
            all.push(...(await lights(daemon.addr, WAVE / 10, () => daemon.token(`user ${user++}`))));
            rates.push(Number(process.hrtime.bigint() - began) / 1e3 / (WAVE / 10));
        }
        const full = workersPss(daemon);
        all.forEach((client, index) => (index & 1 ? client.reset() : client.destroy()));
        await until(() => descriptors(daemon) < 100, within(5000), 'all to be gone');
        waves.push({ full, empty: workersPss(daemon), first: rates[0], last: rates[9] });
    }
    const [first, last] = [waves[1], waves[9]];
    t.note(`${user} users; worker ${sizeOf(first.empty)} after 20,000, ${sizeOf(last.empty)} after all, ${sizeOf(last.full)} with 10,000`);
    t.memory('grew in between', last.empty - first.empty, Math.max(MB, 0.1 * first.full));
    const median = (key) => waves.map((wave) => wave[key]).sort((a, b) => a - b)[5];
    t.judged('a join with 9,000 in, to one with none', median('last') / median('first'), 1.5, 'times the time');
    await serves(redis, daemon);
}, { long: true, timeout: 300000 });

/* --- 37: resets ------------------------------------------------------------- */

row(37, 'RST mid-frame, 100,000 times', 'no leak, no SIGPIPE', async (t) => {
    const redis = await redisServer();
    const daemon = await quiet(t, { redis, config: { workers: 2 } });
    const stream = await Stream.start(t, daemon, redis, { count: 10, rate: 100 });
    const token = daemon.token('reset');
    const half = [Buffer.from([0x81]), Buffer.from([0x81, 0xfe, 1]), Buffer.from('81ff00000000000000ff01020304', 'hex'), Buffer.from('828a0102030431', 'hex')];
    const openings = half.map((bytes) => Buffer.concat([opening(token), bytes]));
    const resets = (count) => {
        let begun = 0;
        const some = async () => {
            while (begun++ < count) {
                const socket = net.connect(daemon.addr);
                socket.on('error', () => {});
                socket.write(openings[begun & 3]);
                await deadline(new Promise((resolve) => socket.once('data', resolve).once('close', resolve)), within(10000), 'an answer');
                socket.resetAndDestroy();
            }
        };
        return Promise.all(Array.from({ length: 50 }, some));
    };
    await resets(10000);
    await elapse(500);
    const [before, files] = [workersPss(daemon), descriptors(daemon)];
    await resets(90000);
    await until(() => descriptors(daemon) <= files, within(3000), 'descriptors to be back');
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady, 'a worker died');
    t.note('100000 resets; workers alive; descriptors back');
    t.memory('workers grew over the last 90,000', workersPss(daemon) - before, MB);
    const result = await stream.stop();
    assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
}, { long: true, timeout: 600000 });

/* --- 39: leaving ------------------------------------------------------------ */

row(39, 'TERM with 10,000 clients', 'closes spread out, exit by the deadline', async (t) => {
    const redis = await redisServer();
    const shutdownTimeout = 5000 * SLOW;
    const daemon = await quiet(t, { redis, config: { workers: 2, shutdownTimeout } });
    const clients = await lights(daemon.addr, 10000, (i) => daemon.token(`user ${i}`));
    const began = Date.now();
    daemon.signal('SIGTERM');
    const how = await daemon.process.ended(within(shutdownTimeout + 2000));
    const took = Date.now() - began;
    assert.deepStrictEqual(how, { code: 0, signal: null });
    const ends = await Promise.all(clients.map((client) => client.closed));
    const slices = new Array(10).fill(0);
    for (const { at } of ends) slices[Math.min(9, Math.max(0, Math.floor(((at - began) * 10) / shutdownTimeout)))]++;
    const codes = [...new Set(ends.map(({ code, error }) => code || error))];
    assert.deepStrictEqual(codes, [undefined]);
    t.note(`closed in each tenth of ${shutdownTimeout } ms: ${slices.join(' ')}`);
    t.took('exit after', took, shutdownTimeout + 2000);
    assert.ok(Math.max(...slices) < 2500, 'not spread out');
}, { long: true, timeout: 120000 });

/* --- 40: soak --------------------------------------------------------------- */

/* Slope of the line through points [x, y], by least squares. */
function slopeOf(points) {
    const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length;
    const [mx, my] = [mean(0), mean(1)];
    const over = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
    return over / points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}
/* What the log says of a client's address. */
const said = (daemon, client) => daemon.log.split('\n').filter((line) => line.includes(`:${client.port} `)).join('\n');
const MINUTES = Number(process.env.AXR_SOAK_MINUTES || 60);
const TURNOVERS = 10; /* of the crowd, before the hour begins */
row(40, `soak of ${MINUTES} min with churn of 20% a minute`, 'memory slope under 1% an hour, descriptors back to baseline', async (t) => {
    const redis = await redisServer();
    const daemon = await quiet(t, { redis, config: { workers: 2 } });
    const idle = descriptors(daemon);
    const COUNT = 2000;
    let user = 0;
    const token = () => daemon.token(`user ${user++}`);
    const clients = await lights(daemon.addr, COUNT, token);
    const stream = await Stream.start(t, daemon, redis, { count: 20, rate: 20, size: 200 });
    /* One leaves and another comes, count times. */
    const churn = (count, from) => {
        for (let i = 0; i < count; i++) {
            const [leaver] = clients.splice((from * 7919 + i * 104729) % clients.length, 1);
            if (leaver.over) throw new Error(`a client was lost: ${JSON.stringify(leaver.over)}\n${said(daemon, leaver)}`);
            if (i & 1) leaver.reset();
            else leaver.destroy();
            clients.push(new Light(daemon.addr, token()));
        }
    };
    /* The heap of a worker settles while the crowd is replaced a few times: by pages, of
     * which 1% of so little memory is ten. */
    for (let round = 0; round < TURNOVERS * COUNT / 100; round++) {
        churn(100, round);
        await Promise.all(clients.slice(-100).map((client) => deadline(client.ready, within(5000), 'a client that is in')));
    }
    const began = Date.now();
    const points = [];
    let direct = 0;
    for (let second = 0; Date.now() - began < MINUTES * 60000; second++) {
        churn(COUNT * 0.2 / 60, second);
        for (let i = 0; i < 20; i++) redis.emitter().to(`user ${user - 1 - i}`).emit('msg', direct++);
        if (second % 10 === 9) points.push([(Date.now() - began) / 3600000, daemonPss(daemon)]);
        await elapse(Math.max(0, began + (second + 1) * 1000 - Date.now()));
    }
    const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
    const slope = (100 * slopeOf(points)) / mean;
    t.note(`${user} users, ${points.length} samples, ${sizeOf(mean)} on average`);
    if (MINUTES >= 30) t.judged('slope', slope, 1, '% an hour');
    else t.note(`slope ${slope.toFixed(1)} % an hour (not judged: too short)`);
    const result = await stream.stop();
    assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
    clients.forEach((client) => client.destroy());
    await until(() => descriptors(daemon) <= idle, within(5000), 'descriptors to be back').catch((error) => {
        throw new Error(`${error.message}: ${descriptors(daemon)}, ${idle} before`);
    });
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady);
    t.note(`descriptors back at ${idle}`);
}, { long: true, timeout: MINUTES * 60000 + 300000 });
