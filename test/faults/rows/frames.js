'use strict';
/* What a client may send once it is a WebSocket. */
const assert = require('assert');
const { row, redisServer, KB, workersPss } = require('../lib/table');
const { Daemon } = require('../../e2e/lib/daemon');
const { OP, frame, joined } = require('../../e2e/lib/raw');
const { serves } = require('../../e2e/lib/load');
const { BAD_FRAMES } = require('../../e2e/lib/hostile');
const { within, deadline } = require('../../e2e/lib/time');

/* One worker, so that it is known whose memory grows. */
async function one(t, config = {}) {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, ...config } });
    const join = (options) => joined(daemon.addr, daemon.token('u'), options);
    return { redis, daemon, join };
}
/* Each frame by a client of its own; how many ended with the code that is right. */
async function closesAll(t, world, frames) {
    let slowest = 0;
    for (const [what, [bytes, codes]] of frames) {
        const client = await world.join();
        const began = Date.now();
        client.sendRaw(bytes);
        const { code } = await client.end();
        slowest = Math.max(slowest, Date.now() - began);
        assert.ok([].concat(codes).includes(code), `${what}: ${code}, not ${codes}`);
    }
    t.note(`${frames.length} of ${frames.length} closed so, the slowest in ${slowest} ms`);
    await serves(world.redis, world.daemon);
}

const OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const RSVS = [1, 2, 3, 4, 5, 6, 7];
const CONTROL = [OP.PING, OP.PONG, OP.CLOSE];
row(1, 'RSV bits, bad opcode, unmasked frame, control frame over 125 B', 'close 1002', async (t) => {
    const frames = [
        ...RSVS.flatMap((rsv) => [OP.TEXT, OP.BINARY, OP.PING].map((op) => [`rsv ${rsv}`, [frame(op, 'x', { rsv }), 1002]])),
        ...OPCODES.map((op) => [`opcode ${op}`, [frame(op, 'x'), 1002]]),
        ...[OP.TEXT, OP.BINARY, ...CONTROL].map((op) => ['unmasked', [frame(op, 'x', { masked: false }), 1002]]),
        ...CONTROL.map((op) => ['control of 126 bytes', [frame(op, 'x'.repeat(126)), 1002]]),
        ...CONTROL.map((op) => ['control of 70000 bytes', [frame(op, 'x', { claim: 70000 }), 1002]]),
        ...Object.entries(BAD_FRAMES).filter(([, [, codes]]) => codes === 1002),
    ];
    await closesAll(t, await one(t), frames);
});

const BAD_TEXT = ['34ff', '34c328', '34e282', '34eda080', '34f8888080', '34c0af', '34f4908080', '34e28228', '3480', '34f09f98'];
const BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535];
row(2, 'invalid UTF-8 in text, bad close payload', 'close 1007 or 1002', async (t) => {
    const code = (number) => Buffer.from([number >> 8, number & 255]);
    const frames = [
        ...BAD_TEXT.map((hex) => [hex, [frame(OP.TEXT, Buffer.from(hex, 'hex')), 1007]]),
        ...BAD_TEXT.map((hex) => [`${hex} in fragments`, [
            Buffer.concat([frame(OP.TEXT, Buffer.from(hex.slice(0, 4), 'hex'), { fin: false }), frame(OP.CONT, Buffer.from(hex.slice(4), 'hex'))]), 1007,
        ]]),
        ['a close of one byte', [frame(OP.CLOSE, 'x'), 1002]],
        ...BAD_CODES.map((number) => [`close ${number}`, [frame(OP.CLOSE, code(number)), 1002]]),
        ['a close reason', [frame(OP.CLOSE, Buffer.from('03e8c328', 'hex')), [1007, 1002]]],
    ];
    await closesAll(t, await one(t), frames);
});

row(3, 'frame that claims 2^31-2 bytes', 'close 1009; memory grows under 16 KB', async (t) => {
    const world = await one(t);
    const claims = async (count) => {
        for (let i = 0; i < count; i++) {
            const client = await world.join();
            client.send(i & 1 ? OP.BINARY : OP.TEXT, 'x'.repeat(1000), { claim: 2 ** 31 - 2 });
            const { code } = await client.end();
            assert.strictEqual(code, 1009);
        }
    };
    await claims(10); /* what the first one touches stays touched */
    const before = workersPss(world.daemon);
    await claims(50);
    t.note('50 of 50 closed');
    t.memory('worker grew', workersPss(world.daemon) - before, 16 * KB);
    await serves(world.redis, world.daemon);
});

/* Sends fragments until closed, each only when the one before was read; how many. */
async function fragments(world, piece) {
    const client = await world.join();
    const read = async () => {
        client.send(OP.PING, 'p');
        const pong = await client.take().catch(() => null);
        return pong && pong.op === OP.PONG;
    };
    let sent = 0;
    do {
        client.send(sent ? OP.CONT : OP.TEXT, sent ? piece : '4', { fin: false });
        sent++;
    } while (sent < 200 && (await read()));
    client.destroy();
    return sent;
}
row(4, 'a message in one-byte or empty fragments', 'closed by fragment 64', async (t) => {
    const world = await one(t);
    for (const [what, piece] of [['one byte', 'x'], ['empty', '']]) {
        const count = await fragments(world, piece);
        t.note(`${what}: closed at fragment ${count}`);
        assert.ok(count <= 64);
    }
    await serves(world.redis, world.daemon);
});

/* Resolves when the socket takes more, or is over. */
function flowing(socket, isOver) {
    return deadline(new Promise((resolve) => {
        if (isOver()) resolve();
        for (const event of ['drain', 'error', 'close']) socket.once(event, resolve);
    }), within(15000), 'drain or close');
}
/* Sends pings, reads nothing, until closed or count are sent; the most that the worker had grown. */
async function unread({ daemon, join }, count) {
    const client = await join();
    const before = workersPss(daemon);
    client.socket.pause();
    let over = false;
    for (const event of ['error', 'close']) client.socket.on(event, () => (over = true));
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(OP.PING, 'x'.repeat(125))));
    let sent = 0;
    let most = 0;
    for (; !over && sent < count; sent += 1000) {
        if (!client.socket.write(pings)) await flowing(client.socket, () => over);
        most = Math.max(most, workersPss(daemon) - before);
    }
    return { over, sent, most };
}
row(5, 'a million pings, pongs never read', 'closed; under 64 KB held', async (t) => {
    const world = await one(t);
    const rounds = [];
    for (let round = 0; round < 6; round++) rounds.push(await unread(world, 1e6));
    assert.ok(rounds.every(({ over }) => over), 'not closed');
    t.note(`6 of 6 closed, after at most ${Math.max(...rounds.map(({ sent }) => sent))} pings`);
    /* The first touches what stays touched; of the others the median, for the heap has other reasons to grow. */
    t.memory('worker grew while it held them by', rounds.slice(1).map(({ most }) => most).sort((a, b) => a - b)[2], 64 * KB);
    await serves(world.redis, world.daemon);
});

const HOLDER = '["x",{"_placeholder":true,"num":0}]';
/* Announces count attachments and sends as many, or as many as make sense. */
function attach(client, count, bytes) {
    client.sendText(`45${count}-/axr,${HOLDER}`);
    const four = client.eio === 3 ? [Buffer.from([4])] : [];
    for (let i = 0; i < Math.min(count, 12); i++) client.sendBinary(Buffer.concat([...four, bytes]));
}
row(7, 'inbound attachments 0, 1, 10, 11, 10^9; acks nobody asked for', '1 to 10 read and dropped, else closed; nothing kept', async (t) => {
    const world = await one(t);
    const bytes = Buffer.alloc(50000, 7);
    const rounds = async (count) => {
        for (const eio of [4, 3]) {
            const client = await world.join({ eio });
            for (let i = 0; i < count; i++) {
                attach(client, 1, bytes);
                attach(client, 10, bytes);
                for (const text of ['43/axr,1[]', `43/axr,${i}["nobody asked"]`, `461-/axr,${i}${HOLDER}`]) client.sendText(text);
                client.sendBinary(client.eio === 3 ? Buffer.concat([Buffer.from([4]), bytes]) : bytes);
                client.send(OP.PING, 'read');
                assert.strictEqual((await client.take()).op, OP.PONG);
            }
            client.destroy();
        }
    };
    await rounds(5);
    const before = workersPss(world.daemon);
    await rounds(20);
    t.note('40 times 12 attachments of 50 KB read and dropped');
    t.memory('worker grew', workersPss(world.daemon) - before, 128 * KB);
    for (const count of [0, 11, 1e9]) {
        const client = await world.join();
        attach(client, count, bytes);
        await client.end();
        t.note(`${count}: closed`);
    }
    await serves(world.redis, world.daemon);
});
