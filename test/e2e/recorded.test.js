'use strict';
/* What recorded clients sent to a Node server (test/vectors/recorded.json), played
 * against the daemon: answers of the same meaning.  What a daemon that only pushes
 * has not is left out of what is expected: acknowledgements. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, ROOT } = require('./lib/daemon');
const { Http, once, request, decode } = require('./lib/http');
const { Raw, OP } = require('./lib/raw');
const { within, until } = require('./lib/time');

const recorded = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/vectors/recorded.json'), 'utf8'));

const daemons = {};
function daemonOf(nsp, settings = {}) {
    const key = nsp + JSON.stringify(settings);
    daemons[key] = daemons[key] || shared(async (s) => {
        const redis = await Redis.start(s);
        const daemon = await Daemon.start(s, { redis, config: { workers: 4, path: '/socket.io', 'socket.io': { namespace: nsp, ...settings } } });
        return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
    });
    return daemons[key]();
}

/* --- transcripts --- */

/* Packets in the order in which a client hears them, as what they mean: ids away, JSON
 * read, acknowledgements with their attachments, heartbeats of EIO4 and noops dropped. */
class Stream {
    constructor(eio) {
        this.eio = eio;
        this.packets = [];
        this.dropping = 0;
    }
    push(packet) {
        if (typeof packet !== 'string') {
            const hex = Buffer.isBuffer(packet.bin) ? packet.bin.toString('hex') : packet.bin;
            if (this.dropping) this.dropping--;
            else this.packets.push({ bin: hex });
            return;
        }
        const [, type, attachments, nsp, rest] = /^(4\d|\d)(?:(\d+)-)?(?:(\/[^,]*),)?([^]*)$/.exec(packet);
        if (packet === '6' || (packet === '2' && this.eio === 4) || type === '43') return;
        if (type === '46') {
            this.dropping += Number(attachments);
            return;
        }
        const data = /^[[{"]/.test(rest) ? JSON.parse(rest) : rest;
        if (data.sid) data.sid = 'an id';
        if (type === '0') Object.assign(data, { pingInterval: 'ms', pingTimeout: 'ms' });
        this.packets.push([type, attachments, nsp, data]);
    }
    /* Of an HTTP answer's text; open packets too. */
    payload(text) {
        for (const packet of decode({ text, headers: {} }, this.eio)) this.push(packet);
    }
}

class Player {
    constructor(t, { redis, addr, token }, { nsp, steps }) {
        Object.assign(this, { t, redis, addr, token, nsp, steps, conns: {} });
        this.eio = Number(/EIO=(\d)/.exec(steps[0][3])[1]);
        this.actual = new Stream(this.eio);
        this.expected = new Stream(this.eio);
        this.published = new Set();
    }
    ours(text) {
        const own = text.replace(/token=abc/, `token=${this.token}`).replace('"token":"abc"', `"token":"${this.token}"`);
        const lengths = this.eio === 3 && own !== text ? own.replace(/^\d+:(.*)$/, (_, one) => `${one.length}:${one}`) : own;
        return this.sid ? lengths.replace(/sid=[\w-]+/, `sid=${this.sid}`) : lengths;
    }
    sent([conn, , method, target, kind, body]) {
        if (method === 'ws') {
            if (target.hex !== undefined) this.ws.sendBinary(Buffer.from(target.hex, 'hex'));
            else this.ws.sendText(this.ours(target));
        } else if (kind === 'Upgrade') {
            this.ws = new Raw(this.addr, { target: this.ours(target), heartbeat: false });
            this.ws.onFrame = (one) => {
                if (one.op === OP.TEXT) this.fromWs(one.text);
                if (one.op === OP.BINARY) this.actual.push({ bin: one.payload.subarray(this.eio === 3 ? 1 : 0) });
                return true;
            };
            this.t.after(() => this.ws.destroy());
        } else if (method === 'GET' && this.get) {
            this.conns[conn] = this.get; /* the one before was answered with what we have not: it waits still */
        } else {
            const http = new Http(this.addr);
            this.t.after(() => http.destroy());
            http.send(method, this.ours(target), { Connection: 'close', ...(kind ? { 'Content-Type': kind } : {}) }, body === undefined ? undefined : this.ours(body));
            this.conns[conn] = http;
            if (method === 'GET') Object.assign(this, { get: http, target });
        }
    }
    fromWs(text) {
        if (text.startsWith('0')) this.sid = JSON.parse(text.slice(1)).sid;
        this.actual.push(text);
    }
    /* The server of the recording emitted these; here an emitter does. */
    async publish() {
        for (const packet of this.expected.packets) {
            if (!Array.isArray(packet) || !/^4[25]$/.test(packet[0]) || this.published.has(packet)) continue;
            this.published.add(packet);
            const [name, ...args] = packet[3];
            const io = this.redis.emitter(this.nsp).to('u');
            if (name === 'bin') io.emit('bin', Buffer.from('010203ff', 'hex'), { b: Buffer.from('hi') });
            else io.emit(name, ...args);
            await this.redis.flush();
        }
    }
    async answered([conn, , status, body]) {
        if (status === 'ws') {
            this.expected.push(body.hex !== undefined ? { bin: body.hex.slice(this.eio === 3 ? 2 : 0) } : body);
            return this.reach();
        }
        const http = this.conns[conn];
        if (status === 101) return this.ws.upgraded;
        if (http !== this.get) {
            const answer = await http.answer();
            assert.deepStrictEqual([answer.status, answer.text], [status, body]);
            return undefined;
        }
        const before = this.expected.packets.length;
        const noop = body === (this.eio === 4 ? '6' : '1:6');
        this.expected.payload(body);
        if (this.expected.packets.length === before && !noop) return undefined;
        return this.reach(noop);
    }
    /* Publishes what is due, and reads until as much has come as should have.  GETs go on
     * as a client's would. */
    async reach(noop) {
        await this.publish();
        const enough = () => this.actual.packets.length >= this.expected.packets.length;
        if (!this.get) return until(enough, within(3000), 'frames');
        for (let first = noop; first || !enough(); first = false) {
            if (!this.get) this.sent([0, '>', 'GET', this.target, '']);
            const answer = await this.get.answer();
            assert.strictEqual(answer.status, 200);
            this.get = null;
            if (!this.sid) this.sid = /"sid":"([^"]+)"/.exec(answer.text)[1];
            this.actual.payload(answer.text);
            if (this.ws) return until(enough, within(3000), 'frames');
        }
        return undefined;
    }
    async run() {
        for (const step of this.steps) {
            if (step[1] === '>') this.sent(step);
            else await this.answered(step);
        }
        await this.reach();
        assert.deepStrictEqual(this.actual.packets, this.expected.packets);
    }
}
for (const transcript of recorded.transcripts) {
    test(`transcript ${transcript.name}`, async (t) => {
        await new Player(t, await daemonOf(transcript.nsp), transcript).run();
    });
}

/* --- single requests --- */

/* Where the daemon answers otherwise on purpose: status and code, or status alone.  It
 * serves its path without the last slash, allows every origin
 * if not told otherwise, and calls a wrong method one. */
const OTHERWISE = {
    'GET no trailing slash': [200], 'PUT with valid sid': [405], 'DELETE with valid sid': [405],
    'OPTIONS without cors option': [204],
};
/* Of an EIO3 handshake the first packet: "40" may come with it, as from 2.x servers. */
const idsAway = (text) => text.replace(/(sid\\?":\\?")[\w-]+/, '$1id')
    .replace(/^(___eio\[\d*\]\(")?\d+:(0\{.*?\}).*$/, '$1N:$2');
for (const one of recorded.exchanges) {
    test(`${one.section}: ${one.name}`, async (t) => {
        const settings = one.section.startsWith('05') ? { allowEIO3: false } : {};
        const { addr } = await daemonOf('/axr', settings);
        const open = await once(addr, request('GET', '/socket.io/?EIO=4&transport=polling'));
        const { sid } = JSON.parse(open.text.slice(1));
        const text = one.request.replace(/sid=[\w-]{20}/, `sid=${sid}`);
        const http = new Http(addr).send(Buffer.from(text));
        t.after(() => http.destroy());
        const answer = await http.answer(within(3000), text.startsWith('HEAD'));
        const [status, code] = OTHERWISE[one.name] || [one.status];
        assert.strictEqual(answer.status, status, answer.text);
        if (code !== undefined) assert.strictEqual(JSON.parse(answer.text).code, code);
        if (OTHERWISE[one.name]) return;
        assert.strictEqual(idsAway(answer.text), idsAway(one.body));
        if (/[?&]j=/.test(text)) return; /* its type is that of a script */
        const own = Object.fromEntries(Object.keys(one.headers).map((name) => [name, answer.headers[name]]));
        assert.deepStrictEqual(own, one.headers);
    });
}

/* --- joining and leaving --- */

for (const { name, eio, log } of recorded.frames) {
    test(`frames: ${name}`, async (t) => {
        /* Only who is sent away for it is in a hurry. */
        const isOver = log.some(([, text]) => text === null);
        const { redis, addr, token } = await daemonOf('/axr', isOver ? { connectTimeout: 1000 } : {});
        const raw = new Raw(addr, { eio, target: `/socket.io/?EIO=${eio}&transport=websocket` });
        t.after(() => raw.destroy());
        const withToken = (text) => (/^40\/axr/.test(text) && !/\[|null/.test(text)
            ? eio === 4 ? `40/axr,{"token":"${token}"}` : text.replace('?', `?token=${token}&`) : text);
        const away = (text) => text.replace(/"sid":"[^"]+"/, '"sid":""');
        for (const [direction, text] of log) {
            if (direction === '>') raw.send(OP.TEXT, withToken(text));
            else if (text === null) await raw.end();
            else if (/^42\["ev"/.test(text)) continue; /* nothing is emitted outside of the configured namespace */
            else {
                if (/^42/.test(text)) redis.emitter().emit(...JSON.parse(text.slice(text.indexOf('['))));
                assert.strictEqual(away(await raw.text()), away(text));
            }
        }
    });
}
